"""The clouds of a search: one for all pairs, or a subnet for each.

Whoever scores a pair asks a `CloudChoice` for the answers of that pair's cloud and need not know
which kind of search it is.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hybrid_nas.data.cloud import CloudModel, CloudOutputs, cloud_outputs, softmax
from hybrid_nas.data.dataset import Dataset, Split
from hybrid_nas.search.cloud_costs import CloudCosts
from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet.cloud import SupernetCloud
from hybrid_nas.supernet.runner import SubnetRunner
from hybrid_nas.supernet.sources import OpenedSupernet

_CACHED_BYTES = 512 * 2**20


class CloudChoice(Protocol):
    """The cloud of each pair, by the genes that its candidate has for it."""

    @property
    def costs(self) -> CloudCosts | None:
        """What the clouds cost that can be chosen; None where there is nothing to choose."""

    @property
    def fingerprint(self) -> str | None:
        """Hex digest that changes when any answer may change; None without a cloud."""

    def fingerprint_of(self, calibration: str) -> str | None:
        """The digest, were subnets calibrated on the images of that name."""

    @property
    def largest(self) -> Genes | None:
        """The cloud that is the measure of all pairs; None where it is the only one."""

    def model(self, genes: Genes | None) -> CloudModel | None:
        """A pair's cloud as a model of its own; None for abstaining classifiers."""

    def outputs(self, split: Split, genes: Genes | None) -> CloudOutputs | None:
        """What a pair's cloud says of a split; None for abstaining classifiers."""


@dataclass(frozen=True)
class FixedCloud:
    """The same cloud for every pair; `cloud` is None for abstaining classifiers."""

    cloud: CloudModel | None
    data: Dataset

    @property
    def costs(self) -> CloudCosts | None:
        """Nothing can be chosen."""
        return None

    @property
    def fingerprint(self) -> str | None:
        """The cloud's own."""
        return None if self.cloud is None else self.cloud.fingerprint

    def fingerprint_of(self, calibration: str) -> str | None:
        """The same: nothing is calibrated."""
        return self.fingerprint

    @property
    def largest(self) -> Genes | None:
        """It has no genes."""
        return None

    def model(self, genes: Genes | None) -> CloudModel | None:
        """The cloud; `genes` are None."""
        return self.cloud

    def outputs(self, split: Split, genes: Genes | None) -> CloudOutputs | None:
        """Its outputs, computed once per process."""
        return None if self.cloud is None else cloud_outputs(self.cloud, self.data, split)


class SubnetClouds:
    """Each pair has a subnet of one supernet as its cloud.

    A subnet is run once, on all splits that its score needs; its outputs are remembered by its
    canonical genes; above half a gigabyte those asked longest ago are forgotten.

    Attributes:
        costs: of the subnets.
        fingerprint: of file, space and calibration: the same subnet then says the same.

    Args:
        opened: the supernet.
        runner: gives the runner of that supernet when a subnet is first run.
        costs: of its subnets.
        calibration: names the images that subnets get their batch-norm statistics from.
        splits: are run together.
    """

    def __init__(
        self,
        opened: OpenedSupernet,
        runner: Callable[[], SubnetRunner],
        costs: CloudCosts,
        *,
        calibration: str,
        splits: Sequence[Split],
    ) -> None:
        self.costs, self._opened, self._runner = costs, opened, runner
        self._splits = tuple(splits)
        self.fingerprint = self.fingerprint_of(calibration)
        self._outputs: OrderedDict[Genes, dict[Split, CloudOutputs]] = OrderedDict()
        self._bytes = 0

    def fingerprint_of(self, calibration: str) -> str:
        """The digest, were subnets calibrated on the images of that name."""
        return _digest(self._opened.fingerprint, self.costs.space.fingerprint, calibration)

    @property
    def largest(self) -> Genes:
        """The largest subnet: the best cloud that could be had, as far as size tells."""
        return tuple(self.costs.space.extremes()[1].tolist())

    def model(self, genes: Genes | None) -> SupernetCloud:
        """A subnet on its own, with batch-norm statistics of its own."""
        assert genes is not None  # every candidate of such a search has them
        network = self._runner().network(genes)
        size, macs = network.architecture.input_shape, network.architecture.macs
        return SupernetCloud(
            network,
            name=f"{self._opened.path.name} at {max(size[:2])} px, {macs / 1e6:.1f} M MACs",
            fingerprint=_digest(self.fingerprint, str(genes)),
            info=self._opened.info,
            genes=genes,
        )

    def outputs(self, split: Split, genes: Genes | None) -> CloudOutputs:
        """A subnet's outputs; the first call for one of `splits` runs them all."""
        assert genes is not None
        known = self._outputs.setdefault(genes, {})
        self._outputs.move_to_end(genes)
        if split not in known:
            missing = self._splits if split in self._splits else (split,)
            found, _ = self._runner().run(genes, missing)
            for name in missing:
                probs = softmax(found[name].logits.astype(float))
                known[name] = CloudOutputs(probs.argmax(axis=1), probs)
                self._bytes += _size(known[name])
            self._forget()
        return known[split]

    def _forget(self) -> None:
        """Drop subnets while all together are too large; never the one just asked."""
        while self._bytes > _CACHED_BYTES and len(self._outputs) > 1:
            _, dropped = self._outputs.popitem(last=False)
            self._bytes -= sum(map(_size, dropped.values()))


def _size(outputs: CloudOutputs) -> int:
    return outputs.pred.nbytes + (0 if outputs.probs is None else outputs.probs.nbytes)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
