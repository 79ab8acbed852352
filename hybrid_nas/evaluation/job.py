"""One evaluation of a pair: everything that is computed, in order, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hybrid_nas.evaluation.arithmetic import arithmetic
from hybrid_nas.evaluation.comparison import choose_confidence, compare, fit_baselines
from hybrid_nas.evaluation.costs import CostsInUse, planned_coverage
from hybrid_nas.evaluation.document import comparison_document, keyed
from hybrid_nas.evaluation.early_exit import early_exits
from hybrid_nas.evaluation.looks import FILE, count_looks
from hybrid_nas.evaluation.promises import calibrate_promises, judge_promises
from hybrid_nas.evaluation.shift import cloud_is_silent, send_rates, under_corruption
from hybrid_nas.evaluation.split_computing import split_points
from hybrid_nas.evaluation.subject import Subject, open_subject
from hybrid_nas.files import atomic_write
from hybrid_nas.report.plot_evaluation import draw_evaluation
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.guarantees import Promise
from hybrid_nas.routing.scoring import evaluate_pair, fit_pair_router
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.training.job import RunPair

SCHEMA = "hybrid-nas/evaluation/1"
DEFAULT_SEVERITY = 3

Say = Callable[[str], None]


@dataclass(frozen=True)
class EvaluationJob:
    """What to evaluate and how.

    Attributes:
        pair: of a finished run.
        coverages: targets; None are the run's, with the coverage that its budget or its bound on
            the loss planned for the pair.
        promises: to calibrate and to try.
        untrained: the pair as the search left it, even where final training ran.
        severities: of the corruptions; none leaves them and the unknown images out.
        seed: of bootstrap, corruptions and the exits' training images.
        device: ``cpu`` or ``cuda``.
    """

    pair: RunPair
    coverages: tuple[float, ...] | None = None
    promises: tuple[Promise, ...] = ()
    untrained: bool = False
    severities: tuple[int, ...] = (DEFAULT_SEVERITY,)
    seed: int = 0
    device: str = "cpu"

    def run(self, say: Say = lambda text: None) -> dict[str, Any]:
        """Evaluate, write ``evaluation.json`` and the plots into the pair's folder.

        Whatever can be refused is refused before the test split is looked at.

        Raises:
            InputError: no such pair, changed data, a promise that cannot be kept.
        """
        directory, number = self.pair.directory, self.pair.number
        looks = count_looks(directory, number)
        coverages = self._targets()
        say("the pair in int8, on the splits before the test split")
        subject = open_subject(self.pair, coverages, untrained=self.untrained, device=self.device)
        guarantees = calibrate_promises(self.promises, subject)
        fit, fit_cloud = subject.outputs("fit"), subject.cloud_correct("fit")
        baselines = fit_baselines(fit, fit_cloud)
        confidence = choose_confidence(baselines, fit, fit_cloud, coverages)
        say("the test split")
        comparison = compare(
            subject.router,
            baselines,
            confidence,
            subject.outputs("test"),
            subject.cloud_correct("test"),
            seed=self.seed,
        )
        costs = CostsInUse.of(self.pair, comparison.base.value)
        document = {
            "schema": SCHEMA,
            "pair": number,
            "base": "trained" if subject.trained else "untrained",
            "test_split": {
                "images": subject.outputs("test").n,
                "groups": len(set(subject.data.split("test").groups.tolist())),
                **looks.document(trained=subject.trained),
            },
            "cloud": None if subject.cloud is None else subject.cloud.name,
            "seed": self.seed,
            "router": _describe_router(subject),
            "latency": {
                **costs.latency_document(),
                "edge_latency_is": self.pair.document["cost"]["edge_latency_is"],
            },
            "costs": costs.document(),
            "planned": self._planned(coverages),
            **comparison_document(comparison, costs.at),
            "guarantees": [one.document() for one in judge_promises(guarantees, subject)],
            "arithmetic": arithmetic(subject, comparison),
            "abstaining": None if subject.cloud is None else _abstaining(subject, coverages),
        }
        say("early exits")
        document["early_exits"] = [one.document() for one in early_exits(subject, seed=self.seed)]
        document["split_computing"] = [asdict(point) for point in split_points(subject)]
        document |= self._shift(subject, say)
        _write(directory, number, document)
        return document

    def _targets(self) -> tuple[float, ...]:
        if self.coverages:
            return self.coverages
        planned = planned_coverage(self.pair)
        own = () if planned is None else (planned,)
        return tuple(dict.fromkeys((*self.pair.setup.settings.coverages, *own)))

    def _planned(self, coverages: tuple[float, ...]) -> dict[str, Any] | None:
        """What was asked of the run, and which of the coverages is to answer it."""
        planned = planned_coverage(self.pair)
        if planned is None or planned not in coverages:
            return None
        asked = self.pair.document["point"]["asked"]
        return {"asked": asked, "coverage": format(planned, "g")}

    def _shift(self, subject: Subject, say: Say) -> dict[str, Any]:
        if not self.severities:
            return {"shift": None, "unknown": None}
        silent = cloud_is_silent(subject)
        reason = (
            f"{subject.cloud.name} holds predictions and cannot answer for changed images: hybrid "
            "and cloud are left out"
            if silent and subject.cloud is not None
            else None
        )
        shifted = under_corruption(subject, self.severities, seed=self.seed, say=say)
        say("images of no known class")
        rates = send_rates(subject, seed=self.seed)
        return {
            "shift": {
                "cloud_left_out": reason,
                "rows": [one.document() for one in shifted],
            },
            "unknown": {name: keyed(found) for name, found in rates.items()},
        }


def _describe_router(subject: Subject) -> dict[str, Any]:
    router = subject.router
    return {
        "kind": subject.pair.candidate.router,
        "method": router.method,
        "deployed": router.deployed_name,
        "params": router.params,
        "flash_bytes": router.flash_bytes,
        "thresholds": keyed(router.thresholds),
    }


def _abstaining(subject: Subject, coverages: tuple[float, ...]) -> dict[str, Any]:
    """The base without the cloud: accuracy on the inputs that it keeps, by its own router."""
    settings = subject.pair.setup.settings
    router = fit_pair_router(
        design(subject.pair.candidate.router),
        subject.outputs("fit"),
        None,
        subject.outputs("threshold"),
        coverages,
        seed=settings.seed,
    )
    score = evaluate_pair(router, subject.outputs("test"), None)
    return {
        "method": router.method,
        "deployed": router.deployed_name,
        "at": {format(c, "g"): asdict(at) for c, at in score.at.items()},
    }


def _write(directory: RunDirectory, number: int, document: dict[str, Any]) -> None:
    folder = directory.pair(number)
    for name, png in draw_evaluation(document).items():
        atomic_write(folder / f"evaluation-{name}.png", png)
    directory.write_json(folder / FILE, document)
