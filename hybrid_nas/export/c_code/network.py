"""What is written as C: a network in int8, its router, and how both run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.plan import ArenaPlan, RouterNeeds, plan_arena
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.hardware.hnas_c import ALIGNMENT, constant_bytes
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_regions import Patches
from hybrid_nas.hardware.patches import stage_bytes
from hybrid_nas.quantise.int8_graph import Int8Graph, check_kernels

DEFAULT_COVERAGE = 0.7


@dataclass(frozen=True, eq=False)
class CNetwork:
    """What is written: a network in int8, and how it runs.

    Attributes:
        name: for people.
        graph: the network.
        classes: names, in the order of its scores.
        router: decides what is sent; None for a network alone.
        cuts: for each place where a router may leave the network early, the operator before it.
        hold_image: keep the image in the arena until it was sent, so that it needs no other buffer;
            means nothing without a router.
        coverage: whose threshold is in force at the start; the nearest there is.
        patches: the operators that run patch by patch, if any.
    """

    name: str
    graph: Int8Graph
    classes: tuple[str, ...]
    router: DeviceRouter | None = None
    cuts: tuple[int, ...] = ()
    hold_image: bool = True
    coverage: float = DEFAULT_COVERAGE
    patches: Patches | None = None

    def __post_init__(self) -> None:
        if len(self.classes) != self.graph.classes:
            raise InputError(
                f"{len(self.classes)} class names for the {self.graph.classes} scores of "
                f"{self.name}: expected as many"
            )
        if self.router is not None and not self.router.thresholds:
            raise InputError(f"the router of {self.name} has no threshold: fit one for a coverage")

    @classmethod
    def of(
        cls,
        network: ExportedNetwork,
        router: DeviceRouter | None = None,
        cuts: Sequence[int] = (),
        *,
        hold_image: bool = True,
        coverage: float = DEFAULT_COVERAGE,
        patches: Patches | None = None,
    ) -> CNetwork:
        """From what exporters get; arguments as the attributes.

        Raises:
            InputError: an operator has no int8 kernel, or the router has no threshold.
        """
        if network.graph is None:
            check_kernels([op.spec for op in network.float_ops])
            raise InputError(f"{network.name} has no int8 version to write as C")
        names, cuts = network.classes, tuple(cuts)
        graph = network.graph
        return cls(network.name, graph, names, router, cuts, hold_image, coverage, patches)

    @property
    def holds_image(self) -> bool:
        """Whether the arena keeps the image until it was sent."""
        return self.hold_image and self.router is not None

    def plan(self) -> ArenaPlan:
        """Where its tensors stand.

        Raises:
            InputError: the operators of `patches` cannot run patch by patch.
        """
        return plan_arena(
            self.graph.specs,
            self.graph.input_shape,
            hold_image=self.holds_image,
            router=self._router_needs(),
            patches=self.patches,
        )

    def _router_needs(self) -> RouterNeeds | None:
        if self.router is None:
            return None
        features = self.graph.features_index if self.router.design.needs_features else None
        return RouterNeeds(self.router.scratch_bytes, features, self.stage)

    @property
    def kept_for_router(self) -> frozenset[int]:
        """Operators whose outputs stay in memory until the router has decided."""
        needs = self._router_needs()
        kept = () if needs is None or needs.features is None else (needs.features,)
        return frozenset(kept)

    @property
    def deciding_bytes(self) -> int:
        """In memory while the router decides: its own, and what it reads.

        An early router reads the output of its stage, any other the scores.
        """
        if self.router is None:
            return 0
        read = self.graph.specs[-1 if self.stage is None else self.stage].out_bytes
        return self.router.scratch_bytes + -(-read // ALIGNMENT) * ALIGNMENT

    @property
    def stage(self) -> int | None:
        """The operator after which an early router decides; None for any other."""
        cut = self.router.design.cut if self.router is not None else 0
        return self.cuts[cut - 1] if cut else None

    @property
    def constant_bytes(self) -> int:
        """Constants in flash: weights, channels' factors, operators' parameters, the router.

        Tables of patches are among them.
        """
        own = int(constant_bytes(OpArrays.of(self.graph.specs)).sum())
        if self.patches is not None:
            own += stage_bytes(self.graph.specs, self.patches)
        return own + (self.router.flash_bytes if self.router is not None else 0)

    @property
    def start_coverage(self) -> float:
        """The coverage whose threshold is in force at the start."""
        assert self.router is not None
        return min(self.router.thresholds, key=lambda each: abs(each - self.coverage))
