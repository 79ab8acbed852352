"""Reading pareto.json: strict about shape, forgiving about values, and which pair is best."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hybrid_nas.errors import InputError
from hybrid_nas.report.documents import Run
from hybrid_nas.report.front import Objective
from hybrid_nas.report.html import render_html
from hybrid_nas.report.measures import measure
from hybrid_nas.report.read_front import read_front
from hybrid_nas.report.terminal import show_front
from hybrid_nas.search.objectives import OBJECTIVES
from tests.report.example_run import ask

MINIMAL = {"schema": "hybrid-nas/pareto/1", "pairs": [{"id": 1}]}


def test_values_are_those_of_the_document(pareto: dict[str, Any]) -> None:
    front = read_front(pareto)
    by_id = {pair.id: pair for pair in front.pairs}
    for given_pair in pareto["pairs"]:
        pair = by_id[given_pair["id"]]
        assert pair.base.macs == given_pair["base"]["macs"]
        assert pair.cost.sram_bytes == given_pair["cost"]["sram_bytes"]
        assert pair.at("0.9", "score").accuracy == given_pair["hybrid"]["0.9"]["accuracy"]
        assert pair.at("0.9", "test").stderr == given_pair["test"]["0.9"]["stderr"]
        assert dict(pair.baselines["msp"]) == given_pair["baselines"]["msp"]
    assert front.objectives == (
        Objective("accuracy@0.7", True),
        Objective("mean_latency_ms", False),
    )
    assert front.cloud is not None and front.cloud.query_ms == 2000.0


def test_best_pair_is_chosen_by_score_and_not_by_test(pareto: dict[str, Any]) -> None:
    """Choosing by test would make the test accuracy optimistic as well."""
    first, second = pareto["pairs"][0], pareto["pairs"][1]
    first["hybrid"]["0.7"]["accuracy"], second["hybrid"]["0.7"]["accuracy"] = 0.99, 0.98
    first["test"]["0.7"]["accuracy"], second["test"]["0.7"]["accuracy"] = 0.90, 0.97
    best = read_front(pareto).best
    assert best is not None and best.id == first["id"]


def test_a_budget_keeps_the_documents_order(pareto: dict[str, Any]) -> None:
    """The search puts the best in what was asked first, and that may be with timeouts."""
    ids = [pair["id"] for pair in pareto["pairs"]][::-1]
    pareto["pairs"].reverse()
    front = read_front(ask(pareto, mean_latency_ms=900.0, mean_energy_mj=20.0))
    assert [pair.id for pair in front.pairs] == ids
    assert front.best is not None and front.best.id == ids[0]
    assert front.question.regime == "budget" and front.question.mean_energy_mj == 20.0
    point = pareto["pairs"][0]["point"]
    assert front.working(front.best, "test").battery_days == 321.0
    assert front.working(front.best, "score").coverage == point["score"]["coverage"]
    assert front.best.point is not None and front.best.point.threshold == 0.21


@pytest.mark.parametrize(("bound", "place"), [(0.02, 0), (0.01, 1), (0.005, 2), (0.0, 2)])
def test_within_a_loss_the_first_that_kept_it_on_score_is_best(
    pareto: dict[str, Any], bound: float, place: int
) -> None:
    """Losses on the score split are 1.2, 0.8 and 0.4 points; where none is within, the nearest."""
    front = read_front(ask(pareto, max_loss=bound))
    assert front.best is not None and front.best.id == pareto["pairs"][place]["id"]
    assert front.keeps_bound(front.best) == (bound > 0)


def test_target_is_stated_or_the_objectives_coverage(pareto: dict[str, Any]) -> None:
    pareto["target_coverage"] = 0.5
    assert read_front(pareto).target == "0.5"
    del pareto["target_coverage"]
    pareto["objective"]["names"][0] = "accuracy@0.9"
    assert read_front(pareto).target == "0.9"
    pareto["objective"] = {"names": ["auc", "sram_bytes"], "directions": ["maximize", "minimize"]}
    assert read_front(pareto).target == "0.7"
    pareto["coverages"] = [0.95, 0.8]
    assert read_front(pareto).target == "0.95"


def test_objectives_of_the_search_are_measures_of_the_report(pareto: dict[str, Any]) -> None:
    """Every objective that ``--objective`` takes has an axis of its own."""
    searched = [objective.label(0.7) for objective in OBJECTIVES.values()]
    pareto["objective"] = {"names": searched, "directions": ["maximize"] * len(searched)}
    for objective in read_front(pareto).objectives:
        label = measure(objective.name).label
        assert any(
            unit in label for unit in ("(%)", "(ms)", "(KB)", "(millions)", "(mJ)", "(points)")
        )


def test_an_objective_that_is_no_coverage_is_no_target(pareto: dict[str, Any]) -> None:
    del pareto["target_coverage"]
    pareto["objective"]["names"][0] = "accuracy@<script>"
    assert read_front(pareto).target == "0.7"


def test_a_document_with_nothing_but_an_id_is_read() -> None:
    front = read_front(MINIMAL)
    assert front.pairs[0].cost.sram_bytes is None
    assert front.pairs[0].at("0.7", "test").accuracy is None
    assert front.cloud is None and front.coverages == ("0.7",)


@pytest.mark.parametrize("value", [None, "0.9", True, float("nan"), float("inf"), 10**400, 1e308])
def test_what_is_no_finite_number_is_not_known(value: object) -> None:
    document = copy.deepcopy(MINIMAL)
    document["pairs"][0]["base"] = {"accuracy": value}  # type: ignore[index]
    assert read_front(document).pairs[0].base.accuracy is None


def drop_schema(document: dict[str, Any]) -> None:
    del document["schema"]


def newer_schema(document: dict[str, Any]) -> None:
    document["schema"] = "hybrid-nas/pareto/2"


def pairs_as_object(document: dict[str, Any]) -> None:
    document["pairs"] = {"1": {}}


def text_id(document: dict[str, Any]) -> None:
    document["pairs"][0]["id"] = "../../etc"


def cost_as_list(document: dict[str, Any]) -> None:
    document["pairs"][0]["cost"] = [1, 2]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (drop_schema, "schema"),
        (newer_schema, "hybrid-nas/pareto/2"),
        (pairs_as_object, "pairs must be a list"),
        (text_id, "pairs[0].id must be an integer"),
        (cost_as_list, "pairs[0].cost must be an object"),
    ],
)
def test_another_document_is_refused_in_one_line(
    pareto: dict[str, Any], spoil: Callable[[dict[str, Any]], None], named: str
) -> None:
    spoil(pareto)
    with pytest.raises(InputError) as caught:
        read_front(pareto)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(data=st.data())
def test_any_value_anywhere_gives_a_report_or_an_input_error(
    data: st.DataObject, run_dir: Path
) -> None:
    """One random place of a good document is replaced: nothing else than `InputError` comes out."""
    document = json.loads((run_dir / "pareto.json").read_text())
    regime = data.draw(st.sampled_from(["", "mean_latency_ms", "mean_energy_mj", "max_loss"]))
    if regime:
        ask(document, **{regime: 0.01})
    place: Any = document
    while True:
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
        deeper = isinstance(place[key], dict | list) and len(place[key]) > 0
        if not deeper or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    try:
        front = read_front(document)
    except InputError as error:
        assert "\n" not in str(error)
        return
    show_front(Console(file=io.StringIO(), width=100), front, run_dir / "none.html")
    render_html(Run(run_dir, front, {}, (), {}, ()), {}, {})
