"""Sessions: nothing measured is lost, an interrupted session ends like one that was not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.hardware.latency_files import load_table
from hybrid_nas.hardware.latency_table import Identity, LatencyTable, Measurement
from hybrid_nas.profiling.backend import Backend, DeviceLostError, Refused, Timed
from hybrid_nas.profiling.building import BuildJob, Built, build_table
from hybrid_nas.profiling.journal import Journal, has_base, journal_path
from hybrid_nas.profiling.measuring import Measuring, Progress
from hybrid_nas.profiling.pool import board_limits, op_class, op_pool
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace
from tests.profiling.backend_contract import BackendContract
from tests.profiling.simulated import IDENTITY, Simulated, cycles


class TestSimulated(BackendContract):
    unsupported = (OpSpec("conv", 64, 64, 16, 16),)

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        yield Simulated(arena=10_000)


@cache
def space() -> SearchSpace:
    return load_space("mcunet", choices={"resolution": [48, 96], "width": [0.3, 0.5]}, classes=10)


@cache
def pool() -> tuple[OpSpec, ...]:
    return tuple(op_pool(space(), board_limits(""), lambda op: True))


def job(path: Path, **settings: object) -> BuildJob:
    return BuildJob(space(), path, **{"budget": 24, **settings})  # type: ignore[arg-type]


def after(count: int) -> Callable[[], bool]:
    """Ctrl-C at the question after so many."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= count


# -- the loop


def test_a_session_measures_what_it_may(tmp_path: Path) -> None:
    device, seen = Simulated(), list[Progress]()
    measuring = Measuring(device, Journal(tmp_path / "j", IDENTITY), report=seen.append)
    outcome = measuring.run(pool()[::40], pool(), 30)
    assert len(outcome.rows) == len(device.asked) == len(set(device.asked)) == 30
    assert all(row.value == cycles(op) for op, row in outcome.rows.items())
    assert [p.done for p in seen] == list(range(1, 31)) and {p.total for p in seen} == {30}


def test_a_plan_is_cut_at_the_budget(tmp_path: Path) -> None:
    device = Simulated()
    outcome = Measuring(device, Journal(tmp_path / "j", IDENTITY)).run(pool()[:50], pool(), 7)
    assert device.asked == list(pool()[:7]) and len(outcome.rows) == 7


def test_refused_operators_are_replaced_by_others(tmp_path: Path) -> None:
    device = Simulated(arena=12_000)
    outcome = Measuring(device, Journal(tmp_path / "j", IDENTITY)).run(pool()[::60], pool(), 40)
    assert len(outcome.rows) == 40 and outcome.refused
    assert all("bytes" in reason for reason in outcome.refused.values())
    assert len(device.asked) == len(set(device.asked)) == 40 + len(outcome.refused)


def test_a_device_that_refuses_everything_is_said_so(tmp_path: Path) -> None:
    measuring = Measuring(Simulated(arena=1), Journal(tmp_path / "j", IDENTITY))
    with pytest.raises(HybridNasError, match=r"none of 20 operators.*has 1"):
        measuring.run(pool()[:20], pool(), 20)


def test_a_device_that_refuses_nearly_everything_is_not_asked_for_ever(tmp_path: Path) -> None:
    device = Simulated(arena=2500)
    outcome = Measuring(device, Journal(tmp_path / "j", IDENTITY)).run(pool()[::9], pool(), 30)
    assert len(outcome.rows) < 30 and len(device.asked) <= 3 * 30


# -- interruption


def finished(path: Path, **settings: object) -> Built:
    return build_table(job(path, **settings), Simulated(arena=60_000))


@settings(max_examples=5)
@given(stops=st.lists(st.integers(0, 12), min_size=1, max_size=3), lost=st.booleans())
def test_interrupted_sessions_end_with_the_same_table(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], lost: bool
) -> None:
    folder = tmp_path_factory.mktemp("session")
    expected = finished(folder / "whole.yaml", budget=14)
    path = folder / "table.yaml"
    asked: list[OpSpec] = []
    for count in stops:
        device = Simulated(arena=60_000, lost_after=count if lost else None)
        stop = (lambda: False) if lost else after(count)
        try:
            build_table(job(path, budget=14), device, stop=stop)
        except (DeviceLostError, KeyboardInterrupt):
            assert not path.exists()
        else:
            path.unlink()  # it got through: measure all of it again below
            asked.clear()
            continue
        asked += device.asked
    device = Simulated(arena=60_000)
    built = build_table(job(path, budget=14), device)
    asked += device.asked
    assert path.read_text() == expected.path.read_text()
    assert built.refused == expected.refused
    assert len(asked) == len(set(asked)), "an operator was measured twice"
    assert not journal_path(path).exists()


def test_a_lost_device_says_what_is_kept_and_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    with pytest.raises(
        DeviceLostError, match=r"cable.*9 answers are kept.*table\.yaml\.journal.*same"
    ):
        build_table(job(path), Simulated(lost_after=9))
    with pytest.raises(DeviceLostError, match="cable came out; 9 answers"):
        build_table(job(path), Simulated(lost_after=0))


def test_every_answer_is_on_disk_before_the_next_operator(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    counts: list[int] = []

    def report(progress: Progress) -> None:
        counts.append(len(journal_path(path).read_text().splitlines()) - 1)

    build_table(job(path), Simulated(), report=report)
    assert counts == list(range(1, 25))


def test_what_other_flags_measured_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    own = OpSpec("conv", 7, 7, 13, 17)
    with pytest.raises(KeyboardInterrupt):
        build_table(job(path, ops=(own, *pool()[:5])), Simulated(), stop=after(2))
    built = build_table(job(path), Simulated())
    assert own in built.table.rows and len(built.table.rows) >= 24


# -- the journal


def journal_with(path: Path, count: int = 5) -> list[Timed | Refused]:
    answers: list[Timed | Refused] = [
        Timed(op, Measurement(cycles(op) / 3, 0.1, 5)) for op in pool()[:count]
    ]
    answers.append(Refused(pool()[count], "too large"))
    journal = Journal(path, IDENTITY)
    for answer in answers:
        journal.append(answer)
    return answers


def test_a_journal_reads_back_what_was_written(tmp_path: Path) -> None:
    answers = journal_with(tmp_path / "j")
    assert list(Journal(tmp_path / "j", IDENTITY).answers.values()) == answers


def test_a_journal_cut_anywhere_keeps_all_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "j"
    answers = journal_with(path, 2)
    data = path.read_bytes()
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    for cut in range(0, len(data) + 1, 23):
        path.write_bytes(data[:cut])
        whole = max(0, int((ends < cut).sum()) - 1)
        journal = Journal(path, IDENTITY)
        assert list(journal.answers.values()) == answers[:whole]
        journal.append(answers[-1])  # and what is appended then can be read
        assert Journal(path, IDENTITY).answers[answers[-1].op] == answers[-1]


@pytest.mark.parametrize("key", list(Identity.__dataclass_fields__))
def test_a_journal_of_another_identity_is_refused(tmp_path: Path, key: str) -> None:
    journal_with(tmp_path / "j")
    other = 1 if key == "clock_hz" else "other"
    changed = Identity(**{**IDENTITY.__dict__, key: other})
    with pytest.raises(InputError, match=f"{key} .*--restart"):
        Journal(tmp_path / "j", changed)


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe", b"17", b"{}", b'{"op": {"op": "conv"}}', b'{"op": 3, "refused": "x"}', b"{"],
)
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    journal_with(path)
    lines = path.read_bytes().splitlines()
    lines[2] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(InputError, match="line 3"):
        Journal(path, IDENTITY)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text(json.dumps({"schema": "other"}) + "\n")
    with pytest.raises(InputError, match="line 1"):
        Journal(path, IDENTITY)
    assert path.exists()


# -- tables that are there already


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    for flags in ({}, {"restart": True}, {"extend": True}):
        with pytest.raises(InputError, match=f"--out {tmp_path} is a folder"):
            job(tmp_path, **flags).check_out()


def test_a_finished_table_is_extended_only_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    first = finished(path)
    with pytest.raises(InputError, match=r"--extend.*--restart.*--out"):
        finished(path)
    more = finished(path, extend=True, budget=10)
    assert len(more.table.rows) == len(first.table.rows) + 10 and more.new == 10
    assert first.table.rows.items() <= more.table.rows.items()


def test_an_interrupted_extension_goes_on_without_the_flag(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    finished(path)
    before = path.read_text()
    extended = tmp_path / "other.yaml"
    extended.write_text(before)
    expected = finished(extended, extend=True, budget=12)
    with pytest.raises(KeyboardInterrupt):
        build_table(job(path, extend=True, budget=12), Simulated(arena=60_000), stop=after(4))
    assert path.read_text() == before and has_base(journal_path(path))
    assert finished(path, budget=12).table.rows == expected.table.rows


def test_a_table_of_another_device_is_not_extended(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    finished(path)
    other = Simulated(identity=Identity(**{**IDENTITY.__dict__, "kernels": "other/2"}))
    with pytest.raises(InputError, match=r"kernels 'formula/1'.*'other/2'"):
        build_table(job(path, extend=True), other)


def test_restart_discards_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    with pytest.raises(DeviceLostError):
        build_table(job(path), Simulated(lost_after=9))
    device = Simulated()
    build_table(job(path, restart=True), device)
    assert len(device.asked) == 24
    build_table(job(path, restart=True, budget=5), Simulated())
    assert len(load_table(path).rows) == 5


def test_flags_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--extend and --restart"):
        job(tmp_path / "t.yaml", extend=True, restart=True)
    with pytest.raises(InputError, match=r"no table .*t\.yaml"):
        job(tmp_path / "t.yaml", extend=True).check_out()


def test_the_file_is_a_table_with_its_errors(tmp_path: Path) -> None:
    built = finished(tmp_path / "table.yaml", budget=60)
    table = load_table(built.path)
    assert isinstance(table, LatencyTable) and table.identity == IDENTITY
    assert table.rows == built.table.rows and len(table.rows) == 60
    assert sum(built.rows_per_class.values()) == 60
    assert table.held_out.keys() <= set(map(op_class, table.rows))
    # cycles() is linear in what the predictor's terms are
    assert table.held_out["dwconv"].mean < 0.05


def test_an_own_list_is_measured_and_nothing_else(tmp_path: Path) -> None:
    ops = (*pool()[:6], *pool()[:2])
    built = build_table(BuildJob(space(), tmp_path / "t.yaml", ops=ops), Simulated())
    assert set(built.table.rows) == set(ops) and len(built.table.rows) == 6
