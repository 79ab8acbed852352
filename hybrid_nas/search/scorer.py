"""Scores a candidate: run the base once, then fit and judge routers on cached arrays."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_nas.data.cloud import CloudModel, cloud_outputs
from hybrid_nas.data.dataset import Dataset, Split
from hybrid_nas.hardware.cost import Costs
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.metrics import mean_latency_ms
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.scoring import exact_accuracy, fit_pair_router, pair_curve
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.score import AtCoverage, PairFigures
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet.runner import SubnetRunner
from hybrid_nas.typing import BoolArray, FloatArray

SEARCH_SPLITS: tuple[Split, ...] = ("fit", "threshold", "score")
_CACHED_BASES = 64


@dataclass(frozen=True)
class BaseOutputs:
    """What a base says on the splits, and what it took."""

    splits: Mapping[Split, ModelOutputs]
    seconds: float


class Scorer:
    """Scores pairs of one search; bases are run once and kept for other routers beside them.

    Attributes:
        cached_bases: how many bases are remembered; the oldest is forgotten first.

    Args:
        runner: of the supernet, with the images of all splits by name.
        data: where labels and groups come from.
        cloud: None for abstaining classifiers.
        settings: coverages, latencies, seed.
    """

    def __init__(
        self,
        runner: SubnetRunner,
        data: Dataset,
        cloud: CloudModel | None,
        settings: SearchSettings,
    ) -> None:
        self.runner, self.data, self.cloud, self.settings = runner, data, cloud, settings
        self.cached_bases = _CACHED_BASES
        self._bases: OrderedDict[Genes, BaseOutputs] = OrderedDict()

    def cloud_correct(self, split: Split) -> BoolArray | None:
        """Where the cloud is right on a split, (n,); None without a cloud."""
        if self.cloud is None:
            return None
        correct: BoolArray = (
            cloud_outputs(self.cloud, self.data, split).pred == self.data.split(split).labels
        )
        return correct

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
            )
            for split in splits
        }

    def base(self, genes: Genes) -> BaseOutputs:
        """The base's outputs on the search's splits; the last few bases are remembered."""
        if genes not in self._bases:
            begun = time.perf_counter()
            splits = self.run_base(genes, SEARCH_SPLITS)
            self._bases[genes] = BaseOutputs(splits, time.perf_counter() - begun)
            if len(self._bases) > self.cached_bases:
                self._bases.popitem(last=False)
        return self._bases[genes]

    def fit_router(self, candidate: Candidate) -> FittedRouter:
        """The pair's router, fitted on ``fit`` with thresholds from ``threshold``."""
        splits = self.base(candidate.genes).splits
        return fit_pair_router(
            design(candidate.router),
            splits["fit"],
            self.cloud_correct("fit"),
            splits["threshold"],
            self.settings.coverages,
            objective=self.settings.router_objective,
            seed=self.settings.seed,
        )

    def score(self, candidate: Candidate, costs: Costs) -> PairFigures:
        """Figures of a pair on the score split.

        Candidates are compared at exactly the target coverage, by ranking the score split's inputs:
        a threshold that happens to send more would look better than it is. The target is a floor:
        where the router's score is a gain, inputs without one stay on the device.

        Args:
            candidate: the pair.
            costs: its costs, arrays of length one.
        """
        cached = candidate.genes in self._bases
        base = self.base(candidate.genes)
        outputs, cloud = base.splits["score"], self.cloud_correct("score")
        self.cloud_correct("fit")  # once per search, and not the router's time
        begun = time.perf_counter()
        router = self.fit_router(candidate)
        score = router.send_score(outputs)
        edge_ms = float(costs.latency_ms[0])
        floor = float((score <= 0).mean()) if router.break_even else 0.0
        at = {
            coverage: at_exact_coverage(
                score, outputs, cloud, max(coverage, floor), edge_ms, self.settings
            )
            for coverage in self.settings.coverages
        }
        return PairFigures(
            at=at,
            auc=pair_curve(score, outputs.correct, cloud).area,
            base_accuracy=float(outputs.correct.mean()),
            method=router.method,
            sram_bytes=int(costs.sram_bytes[0]),
            flash_bytes=int(costs.flash_bytes[0]),
            edge_latency_ms=edge_ms,
            macs=int(costs.macs[0]),
            params=int(costs.params[0]),
            seconds={
                "network": 0.0 if cached else base.seconds,
                "router": time.perf_counter() - begun,
            },
        )


def at_exact_coverage(
    score: FloatArray,
    outputs: ModelOutputs,
    cloud_correct: BoolArray | None,
    coverage: float,
    edge_ms: float,
    settings: SearchSettings,
) -> AtCoverage:
    """A send score at exactly `coverage`: the inputs with the highest scores are sent."""
    estimate = exact_accuracy(score, outputs, cloud_correct, coverage)
    latency = edge_ms
    if cloud_correct is not None:
        latency = mean_latency_ms(
            edge_ms, 0.0, 1.0 - coverage, settings.uplink_ms, settings.cloud_ms
        )
    return AtCoverage(estimate.value, estimate.stderr, coverage, latency)
