"""A pair of a run as exporters want it: its networks, and its router on the device's own scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hybrid_nas.data.dataset import Split
from hybrid_nas.errors import InputError
from hybrid_nas.evaluation.subject import Subject, float_ops, float_outputs, open_subject
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.export.int8_outputs import Int8Outputs, as_model_outputs, int8_outputs
from hybrid_nas.export.network import ExportedNetwork, Precision
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.quantise.int8_graph import Int8Graph, int8_graph
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.supernet.cloud import SupernetCloud
from hybrid_nas.training.job import RunPair
from hybrid_nas.typing import Float32Array


@dataclass(frozen=True, eq=False)
class ExportedPair:
    """A base with its router, ready to be written.

    Attributes:
        subject: the pair as it was evaluated: run, data, cloud, router in real numbers.
        network: the base.
        device: the router in the device's arithmetic, its thresholds set on the device's own scores
            of the ``threshold`` split; None where the base has no int8 version.
        coverage: the one whose threshold is in force at the start.
    """

    subject: Subject
    network: ExportedNetwork
    device: DeviceRouter | None
    coverage: float
    _outputs: dict[Split, Int8Outputs] = field(default_factory=dict, repr=False)

    @property
    def pair(self) -> RunPair:
        """Of which run, and its settings."""
        return self.subject.pair

    @property
    def graph(self) -> Int8Graph:
        """The base in int8.

        Raises:
            InputError: it has no int8 version.
        """
        if self.network.graph is None:
            raise InputError(f"{self.network.name} has operators without an int8 kernel")
        return self.network.graph

    def int8(self, split: Split) -> Int8Outputs:
        """What the device says of a split, exact; computed once."""
        if split not in self._outputs:
            images = self.subject.data.split(split).images
            self._outputs[split] = int8_outputs(self.graph, images, self.subject.base.cuts)
        return self._outputs[split]

    def outputs(self, split: Split) -> ModelOutputs:
        """The same in real numbers, with labels and groups."""
        return as_model_outputs(
            self.graph,
            self.int8(split),
            self.subject.data.split(split),
            self.subject.base.cuts,
            f"the int8 base on split {split}",
        )

    def router(self, precision: Precision) -> FittedRouter:
        """The router in real numbers, thresholds set on what an arithmetic says."""
        router, split = self.subject.router, self.subject.data.split("threshold")
        if precision == "int8":
            outputs = self.outputs("threshold")
        else:
            base = self.subject.base
            outputs = float_outputs(base, split, "the float32 base on split threshold")
        return router.with_thresholds(router.send_score(outputs), tuple(router.thresholds))

    def send_score(self, split: Split) -> Float32Array:
        """The device's send scores of a split, (n,)."""
        assert self.device is not None
        found, cut = self.int8(split), self.device.design.cut
        stage = found.stages[cut - 1] if cut else None
        return self.device.send_score(found.scores, found.features, stage)

    def with_rate_control(self) -> ExportedPair:
        """The same with a controller that keeps the query rate of the coverage in force.

        Raises:
            InputError: nothing is sent at that coverage, no two scores differ, or the base has no
                int8 version.
        """
        if self.device is None:
            raise InputError("--rate-control needs a base with an int8 version: this one has none")
        try:
            device = self.device.with_controller(self.send_score("threshold"), self.coverage)
        except InputError as error:
            raise InputError(f"--rate-control at coverage {self.coverage:g}: {error}") from error
        return replace(self, device=device)


def exported_pair(
    pair: RunPair, coverages: Sequence[float] | None = None, *, untrained: bool = False
) -> ExportedPair:
    """The pair as final training left it, or, if it did not run, as the supernet has it.

    Args:
        pair: of a finished run.
        coverages: for which thresholds are set, the first one in force; by default the run's and
            `RunPair.coverage_in_force`, which then is.
        untrained: as the search left it, even where final training ran.

    Raises:
        InputError: no such pair, something has changed since the run, or a file is damaged.
    """
    own = pair.coverage_in_force
    targets = tuple(dict.fromkeys(coverages or (*pair.setup.settings.coverages, own)))
    in_force = coverages[0] if coverages else own
    subject = open_subject(pair, targets, untrained=untrained)
    architecture = subject.base.architecture
    try:
        graph = int8_graph(subject.base.network, architecture.input_shape)
    except InputError:
        graph = None  # squeeze-and-excitation: float files only
    name = identifier(f"{pair.directory.path.name}_pair_{pair.number}")
    classes = tuple(subject.data.classes)
    operators = float_ops(subject.base.network)
    network = ExportedNetwork(name, architecture, operators, graph, classes)
    if graph is None:
        return ExportedPair(subject, network, None, in_force)
    device = DeviceRouter.of(subject.router, graph, subject.base.cuts)
    found = ExportedPair(subject, network, device, in_force)
    device = device.with_thresholds(found.send_score("threshold"), targets)
    return replace(found, device=device)


def exported_cloud(pair: ExportedPair) -> ExportedNetwork | None:
    """The cloud's network in float, when it is one of ours."""
    cloud = pair.subject.cloud
    if not isinstance(cloud, SupernetCloud):
        return None
    network = cloud.network
    name = f"{pair.network.name}_cloud"
    return ExportedNetwork(name, network.architecture, float_graph(network), None, cloud.classes)


def identifier(text: str) -> str:
    """A word for file names and C: letters, digits and underscores, not a digit first.

    >>> identifier("search-1 pair 3")
    'search_1_pair_3'
    """
    word = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "network"
    return f"n_{word}" if word[0].isdigit() else word
