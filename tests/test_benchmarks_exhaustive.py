"""The exhaustive benchmark: its space, its truth, its shards, and replays on it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.spaces.loader import load_space

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import exhaustive
import exhaustive_samplers
from exhaustive_report import report
from exhaustive_space import FREE, free_columns, lean, narrowed, search_setup, widened
from exhaustive_table import TABLE, Redraw, Table, Truth, evaluations_to, table_problem

SPACE = load_space("mcunet-digits", input_shape=(64, 64, 3), classes=10)
ROUTERS = ["confidence", "linear-stats"]
SMALL = Limits(16 * 1024, 1024 * 1024)


def test_narrowed_space_is_part_of_the_default_one() -> None:
    """Every row of the small space is, by its blocks, a network of the whole space."""
    small = narrowed(SPACE)
    rows = small.enumerate()
    wide, tight = widened(rows, small, SPACE), lean(small)
    # 5 resolutions, 3 widths, 2 and 3 expansions; three depths of which one has a choice of two
    assert len(rows) == 5 * 3 * 2 * 3 * (1 + 2) ** 3 == tight.count()
    assert len(np.unique(wide, axis=0)) == len(rows)
    assert np.array_equal(SPACE.canonical(wide), wide)
    assert [gene.name for gene in tight.genes] == list(FREE)
    shown = rows[:, free_columns(small)]
    assert np.array_equal(tight.canonical(shown), shown)
    for k in range(0, len(rows), 197):
        blocks = SPACE.architecture(wide[k]).blocks
        assert small.architecture(rows[k]).blocks == blocks
        assert tight.architecture(shown[k]).blocks == blocks


def test_choice_that_a_space_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="gene width has choices"):
        narrowed(SPACE, {"width": (0.4,), "resolution": (32,)})


points = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12, unique=True
)


@settings(max_examples=60, deadline=None)
@given(points, st.randoms(use_true_random=False))
def test_curve_is_the_share_of_dominated_cells(pairs: list[tuple[int, int]], rng: object) -> None:
    """Hypervolume by counting cells of a grid, after every evaluation."""
    losses = np.array(pairs, float)
    truth = truth_of(losses)
    x, y = np.meshgrid(np.arange(9) + 0.5, np.arange(9) + 0.5)
    inside = (x < truth.reference[0]) & (y < truth.reference[1])

    def cells(some: np.ndarray) -> int:
        beaten = [(x > a) & (y > b) for a, b in some]
        return int((np.any(beaten, axis=0) & inside).sum())

    order = list(range(len(pairs)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    assert truth.volume == pytest.approx(cells(losses))
    if truth.volume:
        curve = truth.curve(order)
        wanted = [cells(losses[order[: k + 1]]) / truth.volume for k in range(len(order))]
        assert curve == pytest.approx(wanted)
        assert evaluations_to(curve, 1.0) == 1 + wanted.index(1.0)


def truth_of(losses: np.ndarray) -> Truth:
    """The truth about losses (n, 2) of n architectures with one router."""
    table = tiny_table(len(losses), ["confidence"])
    table = replace(
        table,
        accuracy=-losses[:, :1, None],
        coverage=np.ones((len(losses), 1, 1)),
        edge_ms=losses[:, 1:],
    )
    return Truth.of(table, Limits(10, 10))


def tiny_table(n: int, routers: list[str]) -> Table:
    shape = (n, len(routers))
    zeros = np.zeros(shape)
    return Table(
        rows=np.arange(n)[:, None],
        accuracy=zeros[..., None],
        stderr=zeros[..., None],
        coverage=zeros[..., None],
        base_accuracy=zeros[:, 0],
        edge_ms=zeros,
        router_ms=zeros,
        sram_bytes=zeros.astype(np.int64),
        flash_bytes=zeros.astype(np.int64),
        macs=np.ones(n, np.int64),
        params=np.ones(n, np.int64),
        facts={"routers": routers, "coverages": [0.7], "query_ms": 2000.0, "methods": {}},
    )


@pytest.fixture(scope="module")
def table() -> Table:
    """A table of the whole space with invented accuracies and the true costs."""
    setup = search_setup()
    small = narrowed(setup.space)
    rows = exhaustive.architectures(setup)
    wide = widened(rows, small, setup.space)
    costs = setup.problem.costs.evaluate(wide)
    rng = np.random.default_rng(0)
    accuracy = 1 - 0.3 * (costs.macs / 5e5) ** -0.6 + rng.normal(0, 0.004, len(rows))
    shape = (len(rows), len(ROUTERS))
    both = np.repeat(accuracy[:, None], len(ROUTERS), 1)
    return replace(
        tiny_table(len(rows), ROUTERS),
        rows=rows[:, free_columns(small)],
        accuracy=both[..., None],
        stderr=np.full((*shape, 1), 0.006),
        coverage=np.full((*shape, 1), 0.7),
        edge_ms=costs.latency_ms[:, None] + np.array([0.0, 0.01]),
        sram_bytes=np.repeat(costs.sram_bytes[:, None], len(ROUTERS), 1),
        flash_bytes=np.repeat(costs.flash_bytes[:, None], len(ROUTERS), 1),
        macs=costs.macs,
        params=costs.params,
    )


def test_table_is_the_same_after_writing_and_reading(table: Table, tmp_path: Path) -> None:
    scores = np.linspace(0.5, 0.9, 8).reshape(2, 2, 2, 1)
    again = Redraw(np.array([3, 5]), scores, np.full(scores.shape, 0.7))
    exhaustive.write_npz(tmp_path / "t.npz", replace(table, redraw=again).arrays())
    read = Table.load(tmp_path / "t.npz")
    assert np.array_equal(read.rows, table.rows)
    assert read.losses() == pytest.approx(table.losses(), rel=1e-6)
    assert read.redraw is not None
    assert np.array_equal(read.redraw.index, again.index)
    assert "true front" in report(read)
    (tmp_path / "bad.npz").write_bytes((tmp_path / "t.npz").read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        Table.load(tmp_path / "bad.npz")


@pytest.mark.parametrize("name", ["random", "nsga2", "guided", "optuna-nsga2", "pymoo"])
def test_replays_choose_new_pairs_that_fit(table: Table, name: str) -> None:
    """None twice, none beyond the limits, and the same again with the same seed."""
    if name == "pymoo":
        pytest.importorskip("pymoo")
    task = exhaustive_samplers.Task(table_problem(table, SMALL), Truth.of(table, SMALL))
    run = exhaustive_samplers.run(task, name, 1, 25, 1.0)
    assert len(run.order) == len(set(run.order)) == 25
    pairs = np.array(run.order)
    assert (table.sram_bytes.ravel()[pairs] <= SMALL.sram_bytes).all()
    assert exhaustive_samplers.run(task, name, 1, 25, 1.0).order == run.order
    found = exhaustive_samplers.record(task, "small", name, 1, run)
    assert found["shares"] == {"25": pytest.approx(task.truth.curve(run.order)[-1], abs=1e-6)}
    assert json.loads(json.dumps(found)) == found


def test_shards_go_on_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard is scored once, also after a crash; shards of other files are refused."""
    calls: list[int] = []

    def scored(setup: object, rows: np.ndarray) -> dict[str, np.ndarray]:
        calls.append(int(rows[0, 0]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {"accuracy": rows[:, :1] / 10}

    monkeypatch.setattr(exhaustive, "scored", scored)
    monkeypatch.setattr(exhaustive, "SHARD", 2)
    monkeypatch.setattr(exhaustive, "identity", lambda setup: "first")
    rows = np.arange(5)[:, None]
    with pytest.raises(KeyboardInterrupt):
        exhaustive.fill(tmp_path, None, rows, range(3))  # type: ignore[arg-type]
    exhaustive.fill(tmp_path, None, rows, range(3))  # type: ignore[arg-type]
    assert calls == [0, 2, 2, 4]
    parts = list(exhaustive.shards(tmp_path, None, rows))  # type: ignore[arg-type]
    assert np.concatenate([part["accuracy"] for part in parts])[:, 0].tolist() == [
        0.0,
        0.1,
        0.2,
        0.3,
        0.4,
    ]
    monkeypatch.setattr(exhaustive, "identity", lambda setup: "second")
    with pytest.raises(SystemExit, match="other files or settings"):
        exhaustive.fill(tmp_path, None, rows, range(3))  # type: ignore[arg-type]


@pytest.mark.slow
def test_scores_are_those_of_the_default_search() -> None:
    """The search's own scorer, threshold split and all; and what the committed table says."""
    if not TABLE.exists():
        pytest.skip("the table has not been collected: python benchmarks/exhaustive.py")
    setup, known = search_setup(), Table.load()
    at = int(np.flatnonzero(known.base_accuracy > 0.8)[0])
    wide = widened(exhaustive.architectures(setup), narrowed(setup.space), setup.space)[at]
    found = exhaustive.scored(setup, wide[None])
    for k in (0, 3):
        pair = Candidate(tuple(wide.tolist()), setup.settings.routers[k])
        costs = setup.problem.evaluate(np.array([setup.problem.candidates.row(pair)]))
        figures = setup.scorer.score(pair, costs)
        wanted = [figures.at[c].accuracy for c in setup.settings.coverages]
        assert found["accuracy"][0, k].tolist() == pytest.approx(wanted, abs=1e-7)
        # another processor may round a few images to another class
        assert known.accuracy[at, k].tolist() == pytest.approx(wanted, abs=5 / 1200)
