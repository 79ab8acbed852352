"""One network whose first operators run patch by patch: its memory, and the best patches for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from hybrid_nas.hardware.latency import OpLatencies
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_memory import StageMemory, extra_macs, stage_memory
from hybrid_nas.hardware.patch_regions import (
    Grid,
    Patches,
    StageSpans,
    check_stage,
    is_stage,
    pixels_suffice,
)
from hybrid_nas.hardware.patches import GRIDS, check_runtime, stack_bytes
from hybrid_nas.hardware.runtimes import Runtime, evaluate
from hybrid_nas.hardware.sram import INPUT, SramPlan, Tensor, block_live_bytes, plan
from hybrid_nas.hardware.uplink import NO_UPLINK, UplinkImage
from hybrid_nas.spaces.opspec import OpSpec


@dataclass(frozen=True)
class PatchedPlan:
    """A network that runs partly in patches.

    Attributes:
        patches: its stage and grid.
        plan: memory of all its operators; where the stage's run, image and assembled output are in
            memory too.
        work: of each of the stage's operators, output pixels computed over those of the output.
        extra_macs: multiply-accumulates that patches need twice or more often.
    """

    patches: Patches
    plan: SramPlan
    work: tuple[float, ...]
    extra_macs: int

    @property
    def extra_calls(self) -> int:
        """How many more calls of operators there are than without patches."""
        grid = self.patches.grid
        return self.patches.n_ops * (grid.rows * grid.columns - 1)

    @property
    def peak_bytes(self) -> int:
        """The SRAM that the network needs."""
        return self.plan.peak_bytes


def plan_patches(
    ops: Sequence[OpSpec],
    input_shape: tuple[int, int, int],
    runtime: Runtime,
    patches: Patches,
    uplink: UplinkImage = NO_UPLINK,
    *,
    hold: frozenset[int] = frozenset(),
    router_bytes: int = 0,
    reserve_bytes: int = 0,
) -> PatchedPlan:
    """Plan one network; arguments as those of `hardware.sram.plan`.

    Raises:
        InputError: the runtime runs no patches, or those operators cannot.

    Example:
        >>> from hybrid_nas.hardware.runtimes import load_runtime
        >>> ops = [OpSpec("conv", 8, 8, 3, 32), OpSpec("conv", 8, 8, 32, 2)]
        >>> ops.append(OpSpec("avgpool", 8, 8, 2, 2, kernel=0))
        >>> runtime = load_runtime("hnas-c")
        >>> plan(ops, (8, 8, 3), runtime).peak_bytes - runtime.sram.fixed_bytes
        2304
        >>> found = plan_patches(ops, (8, 8, 3), runtime, Patches(2, Grid(4, 1)))
        >>> found.peak_bytes - runtime.sram.fixed_bytes
        960
    """
    check_runtime(runtime)
    check_stage(ops, patches, hold)
    kept = {"router_bytes": router_bytes, "reserve_bytes": reserve_bytes}
    whole = plan(ops, input_shape, runtime, uplink, hold=hold, **kept)
    network = _Network(ops, input_shape, runtime, uplink, hold, whole)
    return next(network.plans(patches.n_ops, [patches.grid]))


def patched_latencies(found: OpLatencies, patched: PatchedPlan) -> OpLatencies:
    """Latencies of a network's operators, all patches together: an estimate.

    An operator's time grows as the pixels that it computes.
    """
    k = patched.patches.n_ops
    work = np.concatenate([np.array(patched.work), np.ones(len(found.ms) - k)])
    whole = np.arange(len(work)) >= k
    return replace(
        found, ms=found.ms * work, sd_ms=found.sd_ms * work, measured=found.measured & whole
    )


def choose_patches(
    ops: Sequence[OpSpec],
    input_shape: tuple[int, int, int],
    runtime: Runtime,
    stages: Iterable[int],
    uplink: UplinkImage = NO_UPLINK,
    *,
    grids: Sequence[Grid] = GRIDS,
    limit_bytes: int | None = None,
    hold: frozenset[int] = frozenset(),
    router_bytes: int = 0,
    reserve_bytes: int = 0,
) -> PatchedPlan | None:
    """The best patches, or None where the network is better off without.

    Args:
        ops, input_shape, runtime, uplink, hold, router_bytes, reserve_bytes: as `plan_patches`.
        stages: numbers of operators that a stage may have; those that cannot are passed over.
        grids: to try.
        limit_bytes: a network that fits as a whole stays whole, and of the patches that fit those
            with the fewest extra multiply-accumulates are taken. Without a limit, or where nothing
            fits, it is those of the smallest peak, if that is smaller than the whole's.

    Raises:
        InputError: the runtime runs no patches.
    """
    check_runtime(runtime)
    kept = {"router_bytes": router_bytes, "reserve_bytes": reserve_bytes}
    whole = plan(ops, input_shape, runtime, uplink, hold=hold, **kept)
    most = whole.peak_bytes
    if limit_bytes is not None and most <= limit_bytes:
        return None
    network = _Network(ops, input_shape, runtime, uplink, hold, whole)
    found = [each for n in stages if is_stage(ops, n, hold) for each in network.plans(n, grids)]
    smaller = [each for each in found if each.peak_bytes < most]
    if limit_bytes is not None:
        fitting = [each for each in smaller if each.peak_bytes <= limit_bytes]
        if fitting:
            return min(fitting, key=lambda each: (each.extra_macs, each.peak_bytes))
    return min(smaller, key=lambda each: (each.peak_bytes, each.extra_macs), default=None)


@dataclass(frozen=True)
class _Network:
    """A network, and its plan without patches."""

    ops: Sequence[OpSpec]
    input_shape: tuple[int, int, int]
    runtime: Runtime
    uplink: UplinkImage
    hold: frozenset[int]
    whole: SramPlan

    def plans(self, k: int, grids: Iterable[Grid]) -> Iterator[PatchedPlan]:
        """With a stage of k operators: one plan for each grid that its last output allows."""
        model, ops = self.runtime.sram, self.ops
        wiring = tuple((op.source, op.residual) for op in ops)
        arrays, rest_arrays = OpArrays.of(ops[:k]), OpArrays.of(ops[k:])
        rest_hold = frozenset(held - k for held in self.hold if held != INPUT)
        rest = block_live_bytes(model, rest_arrays, wiring[k:], rest_hold)[0]
        if self.uplink.holds_input or INPUT in self.hold:
            image = prod(self.input_shape) * ops[0].itemsize
            rest = rest + model.align(np.array(image))
        buffers = {
            name: int(evaluate(formula, rest_arrays).max())
            for name, formula in model.network_buffers.items()
        }
        allowed = [grid for grid in grids if pixels_suffice(ops[k - 1], grid)]
        for spans in StageSpans.of_grids(arrays, wiring[:k], allowed):
            stage = stage_memory(model, arrays, spans)
            live = np.concatenate([stage.live[0], rest]) + self.uplink.extra_bytes
            own = zip(buffers.items(), stage.buffers[0].tolist(), strict=True)
            patched = replace(
                self.whole,
                live_bytes=tuple(live.tolist()),
                persistent_bytes=self.whole.persistent_bytes + stack_bytes(self.runtime),
                buffer_bytes={name: max(after, within) for (name, after), within in own},
                tensors=_tensors(self.whole.tensors, stage, k),
            )
            extra = int(extra_macs(arrays, stage, k)[0])
            work = tuple(stage.pixels[0].tolist())
            yield PatchedPlan(Patches(k, spans.grid), patched, work, extra)


def _tensors(tensors: Sequence[Tensor], stage: StageMemory, k: int) -> tuple[Tensor, ...]:
    """Lifetimes as they are with patches; of the stage's tensors, one patch."""
    image, *outputs = tensors
    sizes = stage.tensors[0].tolist()
    found = [replace(image, last=max(image.last, k - 1))]
    found += [replace(each, bytes=sizes[t + 1]) for t, each in enumerate(outputs[: k - 1])]
    return (*found, replace(outputs[k - 1], first=0), *outputs[k:])
