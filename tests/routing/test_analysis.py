"""The analysis behind ``route``: honest, complete, and right about what can be known."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hybrid_nas.routing
from hybrid_nas.errors import InputError
from hybrid_nas.routing import ModelOutputs, design
from hybrid_nas.routing.analysis import analyse, default_design
from hybrid_nas.routing.costs import LATENCY, QueryCost
from hybrid_nas.routing.document import route_document
from hybrid_nas.routing.evidence import gather_evidence
from hybrid_nas.routing.ranking import accuracy_curve
from hybrid_nas.routing.unseen import decide_unseen
from hybrid_nas.routing.verdict import judge

Simulate = Callable[..., Any]
COVERAGES = (0.9, 0.7)


def test_every_method_is_there_at_every_coverage(simulate: Simulate) -> None:
    pair = simulate(400)
    found = analyse(pair.base, pair.cloud, COVERAGES, repeats=2)
    expected = {"signed-gain", "gain-regression", "two-stage", "oracle-label", "msp", "entropy"}
    expected |= {"margin", "max-logit", "random", "oracle-bound", "selected", "signed-oracle"}
    expected |= {"msp-temperature", "entropy-temperature", "margin-temperature", "errors-first"}
    expected |= {"max-logit-p-norm", "oracle-o", "oracle-label-penalised"}
    assert expected <= set(found.methods)
    for by_coverage in found.methods.values():
        assert tuple(by_coverage) == COVERAGES
        for coverage, at in by_coverage.items():
            assert at.coverage > coverage - 0.03
            assert at.interval.low <= at.accuracy <= at.interval.high
            assert at.accuracy <= found.methods["oracle-bound"][coverage].accuracy + 1e-9
    assert found.base.value == pytest.approx(pair.base.correct.mean())
    assert found.cloud.value == pytest.approx(pair.cloud_correct.mean())


def test_random_and_oracle_are_exact(simulate: Simulate) -> None:
    pair = simulate(500)
    found = analyse(pair.base, pair.cloud, COVERAGES, repeats=1)
    b, g = pair.base.correct, pair.cloud_correct
    for coverage in COVERAGES:
        mixed = coverage * b.mean() + (1 - coverage) * g.mean()
        assert found.methods["random"][coverage].accuracy == pytest.approx(mixed)
        bound = b.mean() + min(1 - coverage, (g & ~b).mean())
        assert found.methods["oracle-bound"][coverage].accuracy == pytest.approx(bound)


def test_a_plain_confidence_scores_what_sorting_all_inputs_gives(simulate: Simulate) -> None:
    """It is not fitted, so thresholds of other folds can change it by little only."""
    pair = simulate(2000)
    found = analyse(pair.base, pair.cloud, COVERAGES, design=design("linear-stats"), repeats=1)
    evidence = gather_evidence(
        pair.base, design("linear-stats"), pair.base.correct, pair.cloud_correct
    )
    curve = accuracy_curve(
        evidence.confidences["msp"], evidence.base_correct, evidence.cloud_correct
    )
    for coverage in COVERAGES:
        at = found.methods["msp"][coverage]
        assert at.accuracy == pytest.approx(curve.at(coverage), abs=0.004)
        assert at.coverage == pytest.approx(coverage, abs=0.004)
        kept = (evidence.confidences["msp"] <= at.threshold).mean()
        assert coverage <= kept < coverage + 0.002


def test_routers_are_judged_on_inputs_they_have_not_seen(simulate: Simulate) -> None:
    """Answers drawn by lot cannot be predicted: a router that knew them would beat chance."""
    random = np.random.default_rng(0)
    pair = simulate(600)
    lots = random.random(600) < 0.5
    features = random.normal(size=(600, 40))
    base = replace(pair.base, logits=random.normal(size=(600, 5)), features=features)
    base_pred = base.logits.argmax(axis=1)
    labels = np.where(lots, base_pred, (base_pred + 1) % 5)
    base = replace(base, labels=labels)
    cloud = ModelOutputs(predicted=labels)
    found = analyse(base, cloud, (0.7,), repeats=3)
    chance = found.methods["random"][0.7].accuracy
    for method in ("signed-gain", "two-stage", "oracle-label", "gain-regression"):
        assert found.methods[method][0.7].accuracy == pytest.approx(chance, abs=0.045)


@pytest.mark.parametrize("hidden", [0, 8])
def test_realised_coverage_is_right_although_thresholds_come_from_fitting_inputs(
    simulate: Simulate, hidden: int
) -> None:
    random = np.random.default_rng(0)
    kept = []
    for seed in range(4):
        pair = simulate(300, seed=seed)
        base = replace(pair.base, features=random.normal(size=(300, 60)))
        evidence = gather_evidence(
            base, design("linear-features"), base.correct, pair.cloud_correct
        )
        decisions = decide_unseen(evidence, (0.7,), hidden=hidden, folds=5, repeats=2, seed=seed)
        kept.append(1 - decisions.decided["oracle-label"].mean())
    assert np.mean(kept) == pytest.approx(0.7, abs=0.02)


def test_where_a_router_can_win_the_verdict_says_by_how_much(simulate: Simulate) -> None:
    pair = simulate(2500)
    found = analyse(pair.base, pair.cloud, (0.7,), repeats=2)
    assert found.default == "signed-gain"
    gain = found.gains["signed-gain"][found.best_confidence][0.7]
    assert gain.low > 0
    verdict = judge(found)
    assert verdict.worth_it
    assert verdict.hybrid.startswith("A hybrid is worth it")
    assert verdict.router.startswith("signed-gain is the best router")
    assert f"{100 * gain.value:+.2f} points" in verdict.router


def test_the_choice_made_anew_in_each_fold_is_as_good_as_the_default(simulate: Simulate) -> None:
    pair = simulate(2500)
    found = analyse(pair.base, pair.cloud, (0.7,), repeats=1)
    default = found.methods[found.default][0.7].accuracy
    assert found.methods["selected"][0.7].accuracy == pytest.approx(default, abs=0.01)


def test_a_cloud_worse_than_the_base_is_not_worth_it() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 600)
    logits = np.eye(3)[np.where(random.random(600) < 0.9, labels, 0)] + random.normal(
        scale=0.2, size=(600, 3)
    )
    cloud = ModelOutputs(predicted=random.integers(0, 3, 600), labels=labels)
    found = analyse(ModelOutputs(logits=logits), cloud, COVERAGES, repeats=1)
    verdict = judge(found)
    assert not verdict.worth_it
    assert verdict.hybrid.startswith("A hybrid is not worth it")


def test_confidences_alone_work_and_rank_alike(simulate: Simulate) -> None:
    pair = simulate(500)
    confidence = pair.base.probs.max(axis=1)
    base = ModelOutputs(
        predicted=pair.base.pred, confidence=confidence, labels=pair.base.labels, n_classes=5
    )
    found = analyse(base, pair.cloud, COVERAGES, repeats=1)
    for name in ("entropy", "margin"):
        for coverage in COVERAGES:
            same = found.methods["msp"][coverage].accuracy
            assert found.methods[name][coverage].accuracy == pytest.approx(same)
    assert "max-logit" not in found.methods


def test_groups_of_either_file_are_kept_together(simulate: Simulate) -> None:
    pair = simulate(600, groups=60)
    grouped = analyse(pair.base, pair.cloud, (0.7,), repeats=1)
    ungrouped = replace(pair.base, groups=None)
    cloud = replace(pair.cloud, groups=pair.base.groups)
    assert grouped.n_groups == 60
    assert analyse(ungrouped, cloud, (0.7,), repeats=1).methods == grouped.methods
    apart = analyse(ungrouped, pair.cloud, (0.7,), repeats=1)
    assert grouped.methods["msp"][0.7].stderr > apart.methods["msp"][0.7].stderr


def test_the_same_seed_gives_the_same_figures(simulate: Simulate) -> None:
    pair = simulate(300)
    one, two, other = (
        analyse(pair.base, pair.cloud, (0.7,), repeats=1, seed=seed) for seed in (3, 3, 4)
    )
    assert one == two
    assert one != other


def test_the_document_keeps_the_contract(simulate: Simulate) -> None:
    pair = simulate(400)
    latency = QueryCost(LATENCY, 200.0, 2000.0)
    found = analyse(pair.base, pair.cloud, (0.9, 0.75), repeats=1, costs=[latency])
    document = route_document(found, judge(found))
    assert document["schema"] == "hybrid-nas/route/1"
    assert document["n"] == 400
    assert document["default"] in document["methods"]
    for method, by_coverage in document["methods"].items():
        assert list(by_coverage) == ["0.9", "0.75"], method
        for at in by_coverage.values():
            assert {"accuracy", "stderr", "coverage", "threshold"} <= set(at)
            latency_ms = 200 + (1 - at["coverage"]) * 2000
            assert at["mean_latency_ms"] == pytest.approx(latency_ms)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "expected 2 or more"),
        ({"folds": 30}, "has 50 inputs: 30 folds need at least 60"),
        ({"coverages": (1.5,)}, "out of range"),
        ({"design": design("linear-features")}, "add `features`"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    simulate: Simulate, settings: dict[str, Any], message: str
) -> None:
    pair = simulate(50)
    base = replace(pair.base, features=None)
    with pytest.raises(InputError, match=message):
        analyse(base, pair.cloud, settings.pop("coverages", (0.7,)), **settings)


def test_predictions_alone_make_no_base(simulate: Simulate) -> None:
    pair = simulate(50)
    with pytest.raises(InputError, match="predictions alone"):
        analyse(ModelOutputs(predicted=pair.base.pred), pair.cloud, (0.7,))


def test_the_design_follows_what_there_is_to_read(simulate: Simulate) -> None:
    base = simulate(50).base
    assert default_design(base).kind == "linear-features"
    assert default_design(replace(base, features=None)).kind == "linear-class"
    many = ModelOutputs(logits=np.random.default_rng(0).normal(size=(5, 500)))
    assert default_design(many).kind == "linear-stats"


def test_the_room_knows_arrays_only() -> None:
    """Routing must work without the search, the hardware, the data sets and torch."""
    names = ("routing", "errors", "typing", "files", "npz", "yaml_documents")
    allowed = {f"hybrid_nas.{name}" for name in names}
    for path in Path(hybrid_nas.routing.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] not in {"torch", "ofa", "optuna", "onnxruntime"}
                if name.startswith("hybrid_nas"):
                    assert ".".join(name.split(".")[:2]) in allowed, f"{path.name}: {name}"


def test_confidences_and_bounds_of_the_registry_are_judged_on_the_same_folds(
    simulate: Simulate,
) -> None:
    pair = simulate(800)
    found = analyse(pair.base, pair.cloud, (0.5,), repeats=1)
    at = {name: by_coverage[0.5] for name, by_coverage in found.methods.items()}
    assert at["msp-temperature"].coverage == pytest.approx(0.5, abs=0.03)
    assert at["msp-temperature"].accuracy == pytest.approx(at["msp"].accuracy, abs=0.01)
    assert at["max-logit-p-norm"].coverage > 0.7  # all tie here: nobody says more than another
    b, g = pair.base.correct, pair.cloud_correct
    spoilt, mended, wrong = (b & ~g).mean(), (g & ~b).mean(), (~b).mean()
    at_random = (0.5 - wrong) / b.mean()  # all errors fit into the quota, and some other inputs
    assert 0.0 < at_random < 1.0
    expected = b.mean() + mended - at_random * spoilt
    assert at["errors-first"].accuracy == pytest.approx(expected)
    assert at["signed-oracle"].accuracy == pytest.approx(b.mean() + mended)


def test_every_design_is_judged_with_its_cost(simulate: Simulate) -> None:
    pair = simulate(400)
    found = analyse(pair.base, pair.cloud, (0.7,), repeats=1, every_design=True)
    kinds = {one.kind: one for one in found.designs}
    assert {"linear-stats", "linear-features", "mlp16-features"} <= set(kinds)
    small = design("linear-stats")
    assert kinds["linear-stats"].flash_bytes == small.flash_bytes(5, 5)
    assert kinds["linear-features"].at[0.7].accuracy > kinds["linear-stats"].at[0.7].accuracy


def test_the_curve_runs_from_the_cloud_to_the_base(simulate: Simulate) -> None:
    pair = simulate(500)
    found = analyse(pair.base, pair.cloud, (0.7,), repeats=2, curve=True)
    curve = found.curve
    assert curve is not None
    for row in curve.methods.values():
        assert row[-1].value == pytest.approx(pair.base.correct.mean())
    for method in ("selected", found.best_confidence, "random"):
        assert curve.methods[method][0].value == pytest.approx(pair.cloud_correct.mean())
    oracle = curve.methods["oracle-bound"]
    for index, gain in enumerate(curve.gain):
        ours, theirs = (curve.methods[m][index] for m in ("selected", found.best_confidence))
        assert gain.value == pytest.approx(ours.value - theirs.value)
        assert ours.value <= oracle[index].value + 1e-9
        assert ours.low <= ours.value <= ours.high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda base: replace(base, labels=np.zeros(50, np.int64)), r"one class only \(0, 50"),
        (
            lambda base: ModelOutputs(
                labels=base.labels, predicted=np.zeros(50, np.int64), confidence=np.full(50, 0.9)
            ),
            "says the same of all 50 inputs",
        ),
    ],
)
def test_outputs_that_tell_nothing_are_refused(
    simulate: Simulate, change: Callable[[ModelOutputs], ModelOutputs], message: str
) -> None:
    pair = simulate(50)
    with pytest.raises(InputError, match=message):
        analyse(change(pair.base), replace(pair.cloud, labels=None), (0.7,))
