"""Scores a candidate: run the base once, then fit and judge routers on cached arrays.

Only what a score depends on is run. At a given coverage that is the splits ``fit`` and ``score``:
the threshold split has a say when a pair of the front is judged, or where a budget or a bound on
the loss decides how often the cloud is asked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hybrid_nas.data.dataset import Dataset, Split
from hybrid_nas.hardware.cost import Costs
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import pair_curve, send_weights
from hybrid_nas.routing.scoring import exact_accuracy, fit_pair_router
from hybrid_nas.routing.thresholds import sent
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.clouds import CloudChoice
from hybrid_nas.search.prices import Device, Prices
from hybrid_nas.search.regime import (
    budget_threshold,
    decided_accuracy,
    threshold_within_loss,
    weighted_accuracy,
)
from hybrid_nas.search.score import CloudFigures, PairFigures, WorkingPoint
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet.runner import SubnetRunner
from hybrid_nas.typing import BoolArray, FloatArray

SEARCH_SPLITS: tuple[Split, ...] = ("fit", "threshold", "score")
_CACHED_BASES = 64


@dataclass(frozen=True)
class BaseOutputs:
    """What a base says on the splits that were run, and what that took."""

    splits: Mapping[Split, ModelOutputs]
    seconds: float


class Scorer:
    """Scores pairs of one search; bases are run once and kept for other routers beside them.

    Attributes:
        cached_bases: how many bases are remembered; the oldest is forgotten first.
        scored_splits: what a base is run on for its score.

    Args:
        runner: of the supernet, with the images of all splits by name.
        data: where labels and groups come from.
        clouds: the cloud of each pair.
        settings: coverages, latencies, seed.
    """

    def __init__(
        self,
        runner: SubnetRunner,
        data: Dataset,
        clouds: CloudChoice,
        settings: SearchSettings,
    ) -> None:
        self.runner, self.data, self.clouds, self.settings = runner, data, clouds, settings
        self._prices = Prices.of(settings)
        at_coverage = settings.regime == "coverage"
        self.scored_splits: tuple[Split, ...] = ("fit", "score") if at_coverage else SEARCH_SPLITS
        self.cached_bases = _CACHED_BASES
        self._bases: OrderedDict[Genes, BaseOutputs] = OrderedDict()

    def prices_of(self, candidate: Candidate) -> Prices:
        """What settings, and the cloud where it is chosen, make a pair cost."""
        if self.clouds.costs is None or candidate.cloud is None:
            return self._prices
        return self._prices.with_cloud(self.clouds.costs.price(candidate.cloud))

    def cloud_correct(self, split: Split, cloud: Genes | None = None) -> BoolArray | None:
        """Where a cloud is right on a split, (n,); None without one.

        Args:
            split: of the data.
            cloud: which one, where the search chooses it.
        """
        found = self.clouds.outputs(split, cloud)
        if found is None:
            return None
        correct: BoolArray = found.pred == self.data.split(split).labels
        return correct

    def reference_correct(self, split: Split) -> BoolArray | None:
        """Where the cloud is right that losses are against; None without one."""
        return self.cloud_correct(split, self.clouds.largest)

    def cloud_answers(self, split: Split, cloud: Genes | None = None) -> ModelOutputs | None:
        """What a cloud says of a split, with labels; None without one."""
        found = self.clouds.outputs(split, cloud)
        if found is None:
            return None
        return ModelOutputs(
            labels=self.data.split(split).labels,
            probabilities=found.probs,
            predicted=found.pred if found.probs is None else None,
            source=f"the cloud on split {split}",
        )

    def run_base(self, genes: Genes, splits: Sequence[Split]) -> dict[Split, ModelOutputs]:
        """Outputs of a base on splits, with labels and groups."""
        outputs, _ = self.runner.run(genes, tuple(splits))
        return {
            split: ModelOutputs(
                labels=self.data.split(split).labels,
                logits=outputs[split].logits,
                features=outputs[split].features,
                groups=self.data.split(split).groups,
                source=f"the base on split {split}",
                stage_features=outputs[split].stages,
            )
            for split in splits
        }

    def base(self, genes: Genes) -> BaseOutputs:
        """The base's outputs on `scored_splits`; the last few bases are remembered."""
        if genes not in self._bases:
            self._run(genes, self.scored_splits)
        return self._bases[genes]

    def _run(self, genes: Genes, splits: Sequence[Split]) -> None:
        begun = time.perf_counter()
        found = self.run_base(genes, splits)
        self._bases[genes] = BaseOutputs(found, time.perf_counter() - begun)
        if len(self._bases) > self.cached_bases:
            self._bases.popitem(last=False)

    def threshold_outputs(self, genes: Genes) -> ModelOutputs:
        """The base's outputs on the threshold split, run when first asked for."""
        if genes not in self._bases:
            self._run(genes, SEARCH_SPLITS)
        known = self._bases[genes]
        if "threshold" not in known.splits:
            known = replace(known, splits={**known.splits, **self.run_base(genes, ("threshold",))})
            self._bases[genes] = known
        return known.splits["threshold"]

    def fit_router(self, candidate: Candidate, device: Device | None = None) -> FittedRouter:
        """The pair's router with thresholds from ``threshold``, to be used and not just scored."""
        threshold = self.threshold_outputs(candidate.genes)
        router = self.learn_router(candidate, device)
        return router.with_thresholds(router.send_score(threshold), self.settings.coverages)

    def learn_router(self, candidate: Candidate, device: Device | None = None) -> FittedRouter:
        """The pair's router, fitted on ``fit``, without thresholds.

        Under a budget it is chosen for the coverage that the budget leaves a pair that takes so
        much on the device.
        """
        splits, settings = self.base(candidate.genes).splits, self.settings
        aims = settings.coverages
        if settings.regime == "budget" and device is not None:
            coverage = self.prices_of(candidate).affordable_coverage(settings, device)
            aims = (coverage,) if 0.0 < coverage < 1.0 else aims
        return fit_pair_router(
            design(candidate.router),
            splits["fit"],
            self.cloud_correct("fit", candidate.cloud),
            None,
            aims,
            objective=settings.router_objective,
            cloud=self.cloud_answers("fit", candidate.cloud),
            seed=settings.seed,
        )

    def plan(
        self, candidate: Candidate, router: FittedRouter, device: Device
    ) -> tuple[float, float] | None:
        """(coverage, threshold) at which the pair would be run; None without a regime.

        Both come from budgets and the threshold split alone.
        """
        settings = self.settings
        if settings.regime == "coverage":
            return None
        outputs = self.threshold_outputs(candidate.genes)
        if settings.regime == "budget":
            coverage = self.prices_of(candidate).affordable_coverage(settings, device)
            score = router.send_score(outputs)
            return coverage, budget_threshold(score, coverage, break_even=router.break_even)
        cloud = self.cloud_correct("threshold", candidate.cloud)
        # SearchSettings refuses a bound on the loss without a cloud
        assert cloud is not None and settings.max_loss_share is not None
        threshold, coverage = threshold_within_loss(
            router.send_score(outputs),
            outputs.correct,
            cloud,
            settings.max_loss_share,
            self.reference_correct("threshold"),
        )
        return coverage, threshold

    def decided_point(
        self,
        candidate: Candidate,
        plan: tuple[float, float],
        score: FloatArray,
        outputs: ModelOutputs,
        split: Split,
        device: Device,
    ) -> WorkingPoint:
        """What comes of a plan on a split when its threshold decides."""
        cloud, reference = self.cloud_correct(split, candidate.cloud), self.reference_correct(split)
        assert cloud is not None and reference is not None  # there is no plan without a cloud
        decided = sent(score, plan[1])
        accuracy, loss = decided_accuracy(decided, outputs, cloud, reference)
        coverage = 1.0 - float(decided.mean())
        at = self.prices_of(candidate).at(accuracy, coverage, device, loss)
        return WorkingPoint(*plan, at)

    def score(self, candidate: Candidate, costs: Costs) -> PairFigures:
        """Figures of a pair on the score split.

        Candidates are compared at exactly the coverage that they are to have, by ranking the score
        split's inputs: a threshold that happens to send more would look better than it is. The
        target is a floor: where the router's score is a gain, inputs without one stay on the
        device. Under a bound on the loss, the threshold split's threshold decides.

        Args:
            candidate: the pair.
            costs: its costs, arrays of length one.
        """
        cached = candidate.genes in self._bases
        base = self.base(candidate.genes)
        outputs, prices = base.splits["score"], self.prices_of(candidate)
        begun = time.perf_counter()
        cloud = self.cloud_correct("score", candidate.cloud)
        self.cloud_correct("fit", candidate.cloud)
        cloud_seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        device = Device(
            float(costs.latency_ms[0]),
            int(costs.macs[0]),
            float(outputs.correct.mean()),
            float(costs.saved_ms[0]),
            int(costs.saved_macs[0]),
        )
        router = self.learn_router(candidate, device)
        score = router.send_score(outputs)
        floor = float((score <= 0).mean()) if router.break_even else 0.0
        at = {}
        for coverage in self.settings.coverages:
            kept = max(coverage, floor)
            at[coverage] = prices.at(exact_accuracy(score, outputs, cloud, kept), kept, device)
        plan = self.plan(candidate, router, device)
        point = None
        if plan is not None and self.settings.regime == "loss":
            point = self.decided_point(candidate, plan, score, outputs, "score", device)
        elif plan is not None and cloud is not None:
            kept, reference = max(plan[0], floor), self.reference_correct("score")
            assert reference is not None
            weights = send_weights(score, kept)
            accuracy, loss = weighted_accuracy(weights, outputs, cloud, reference)
            point = WorkingPoint(*plan, prices.at(accuracy, kept, device, loss))
        on_device = self.settings.on_device
        return PairFigures(
            at=at,
            auc=pair_curve(score, outputs.correct, cloud).area,
            base_accuracy=device.base_accuracy,
            method=router.method,
            sram_bytes=max(
                int(costs.sram_bytes[0]), 0 if on_device is None else on_device.sram_bytes
            ),
            flash_bytes=int(costs.flash_bytes[0]),
            edge_latency_ms=device.edge_ms,
            macs=device.macs,
            params=int(costs.params[0]),
            seconds={
                "network": 0.0 if cached else base.seconds,
                "router": time.perf_counter() - begun,
                **({} if candidate.cloud is None else {"cloud": cloud_seconds}),
            },
            point=point,
            saved_ms=device.saved_ms,
            saved_macs=device.saved_macs,
            cloud=self._cloud_figures(candidate),
        )

    def _cloud_figures(self, candidate: Candidate) -> CloudFigures | None:
        """The pair's own cloud; None where all pairs have the same."""
        costs, genes = self.clouds.costs, candidate.cloud
        correct = None if genes is None else self.cloud_correct("score", genes)
        if costs is None or genes is None or correct is None:
            return None
        price = costs.price(genes)
        latency_ms = self.settings.cloud_ms if price.latency_ms is None else price.latency_ms
        return CloudFigures(float(correct.mean()), price.macs, price.params, latency_ms)
