"""Where everything stands in the exported code's arena.

A tensor lives from the step that writes it to the last one that reads it. Steps are the operators
in their order, and the router's decision among them. Beside the operators' outputs there are the
image (which a sent input may need to the end), each kernel's scratch memory while it runs, and what
the router computes. Outputs that are written over an operand share its place.

Where the first operators run patch by patch, `patch_plan` makes other tensors of theirs; placing
them stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from hybrid_nas.export.c_code.names import IMAGE, ROUTER, op_name, scratch_name
from hybrid_nas.export.c_code.patch_plan import Overwrite, in_patches
from hybrid_nas.hardware.arena import extent, place
from hybrid_nas.hardware.hnas_c import ALIGNMENT, runs_in_place, scratch_bytes
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_regions import Patches, check_stage
from hybrid_nas.hardware.sram import INPUT, Tensor, last_uses
from hybrid_nas.spaces.opspec import OpSpec

__all__ = ["IMAGE", "ROUTER", "ArenaPlan", "RouterNeeds", "op_name", "plan_arena", "scratch_name"]

SCHEMA = "hybrid-nas/arena-plan/1"


@dataclass(frozen=True)
class RouterNeeds:
    """What a router asks of the arena.

    Attributes:
        scratch_bytes: memory for its own use.
        features: operator whose output it reads beside the scores, None for none.
        stage: operator after which it decides, reading its output alone; None where it decides
            after the last one.
    """

    scratch_bytes: int
    features: int | None = None
    stage: int | None = None

    def step(self, n_ops: int) -> int:
        """Its place among the steps of a network of so many operators."""
        return n_ops if self.stage is None else self.stage + 1


@dataclass(frozen=True)
class ArenaPlan:
    """Tensors and their offsets.

    Attributes:
        steps: names of what runs, in order.
        tensors: names as in `steps` for outputs, ``NAME.scratch`` for scratch memory, `IMAGE`,
            `ROUTER` for the router's; ``first`` and ``last`` index `steps`, -1 is when the image
            arrives.
        offsets: of each tensor, bytes from the start of the arena, multiples of `ALIGNMENT`.
        arena_bytes: its size.
        patches: which operators run patch by patch, if any; their tensors are then those of one
            patch.
    """

    steps: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    offsets: tuple[int, ...]
    arena_bytes: int
    patches: Patches | None = None

    def offset(self, name: str) -> int:
        """Of the tensor of that name.

        Raises:
            KeyError: there is none.
        """
        return self._offsets()[name]

    def _offsets(self) -> dict[str, int]:
        return {t.name: o for t, o in zip(self.tensors, self.offsets, strict=True)}

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        patches = None
        if self.patches is not None:
            patches = {"operators": self.patches.n_ops, "grid": str(self.patches.grid)}
        return {
            "schema": SCHEMA,
            "arena_bytes": self.arena_bytes,
            "patches": patches,
            "steps": list(self.steps),
            "tensors": [
                {"name": t.name, "bytes": t.bytes, "first": t.first, "last": t.last, "offset": o}
                for t, o in zip(self.tensors, self.offsets, strict=True)
            ],
        }


def plan_arena(
    ops: Sequence[OpSpec],
    input_shape: tuple[int, int, int],
    *,
    hold_image: bool = False,
    router: RouterNeeds | None = None,
    patches: Patches | None = None,
) -> ArenaPlan:
    """Plan one network.

    Args:
        ops: the network.
        input_shape: (height, width, channels) of its image, one byte each.
        hold_image: the image stays as it is until the router has decided and it was sent.
        router: None for a network alone.
        patches: the operators that run patch by patch.

    Raises:
        InputError: they cannot, or the router needs more of them than their last output.

    Example:
        >>> ops = [OpSpec("conv", 8, 8, 3, 4), OpSpec("conv", 8, 8, 4, 2)]
        >>> plan_arena(ops, (8, 8, 3)).arena_bytes  # image 192, output 256, scratch 16
        464
    """
    steps, step_of = _steps(ops, router)
    tensors = _tensors(ops, input_shape, hold_image, router, step_of, len(steps))
    overwrites = _overwrites(ops)
    if patches is not None:
        routed = () if router is None else (router.features, router.stage)
        check_stage(ops, patches, frozenset(index for index in routed if index is not None))
        tensors, overwrites = in_patches(ops, patches, tensors, overwrites)
    shared = _shared_places(overwrites, tensors, strided=True)
    offsets, size = _placed(tensors, shared)
    if size > _largest_moment(tensors, shared):
        apart = _placed(tensors, _shared_places(overwrites, tensors, strided=False))
        offsets, size = min((offsets, size), apart, key=lambda placed: placed[1])
    return ArenaPlan(steps, tuple(tensors), offsets, size, patches)


def _steps(ops: Sequence[OpSpec], router: RouterNeeds | None) -> tuple[tuple[str, ...], list[int]]:
    """Names of the steps, and each operator's step; the last one is where results are read."""
    names = [op_name(index, spec) for index, spec in enumerate(ops)]
    if router is None:
        return tuple(names), list(range(len(ops)))
    decides = router.step(len(ops))
    names.insert(decides, ROUTER)
    return tuple(names), [index + (index >= decides) for index in range(len(ops))]


def _tensors(
    ops: Sequence[OpSpec],
    input_shape: tuple[int, int, int],
    hold_image: bool,
    router: RouterNeeds | None,
    step_of: Sequence[int],
    end: int,
) -> list[Tensor]:
    """The image, the outputs, then scratch memory and the router's; sizes in whole words."""
    hold = {INPUT} if hold_image else set()
    if router is not None and router.features is not None:
        hold.add(router.features)
    last = last_uses(tuple((op.source, op.residual) for op in ops), frozenset(hold))
    when = [*step_of, end]  # results are read after the last step
    found = [Tensor(IMAGE, _whole(prod(input_shape)), -1, when[last[0]])]
    for index, spec in enumerate(ops):
        lives = step_of[index], when[last[index + 1]]
        if router is not None and router.stage == index:
            lives = lives[0], max(lives[1], router.step(len(ops)))
        found.append(Tensor(op_name(index, spec), _whole(spec.out_bytes), *lives))
    for index, size in enumerate(scratch_bytes(OpArrays.of(ops)).tolist()):
        if size:
            runs = step_of[index]
            found.append(Tensor(scratch_name(index, ops[index]), size, runs, runs))
    if router is not None and router.scratch_bytes:
        decides = router.step(len(ops))
        found.append(Tensor(ROUTER, _whole(router.scratch_bytes), decides, decides))
    return found


def _overwrites(ops: Sequence[OpSpec]) -> list[Overwrite]:
    """Which outputs may be written over which operands, as indices of tensors."""
    allowed = runs_in_place(OpArrays.of(ops)).tolist()
    return [
        Overwrite(index + 1, tuple(index + 1 - d for d in (op.source, op.residual) if d))
        for index, op in enumerate(ops)
        if allowed[index]
    ]


def _shared_places(
    overwrites: Sequence[Overwrite], tensors: Sequence[Tensor], strided: bool
) -> list[int]:
    """For each tensor, the one whose place it has: itself, or the operand it is written over.

    An output that is smaller than its operand leaves the rest of the place unused for as long as it
    lives, which can cost more than it saves: `strided` says whether to do that.
    """
    owner = list(range(len(tensors)))
    for chance in overwrites:
        output = tensors[chance.output]
        for operand in chance.operands:
            dies = tensors[operand].last == output.first
            fits = strided or tensors[operand].bytes == output.bytes
            if dies and fits:
                owner[chance.output] = owner[operand]
                break
    return owner


def _largest_moment(tensors: Sequence[Tensor], owner: Sequence[int]) -> int:
    """Bytes alive together at the worst step, places shared: no plan needs less."""
    largest = 0
    for step in range(-1, max(tensor.last for tensor in tensors) + 1):
        places: dict[int, int] = {}
        for tensor, root in zip(tensors, owner, strict=True):
            if tensor.first <= step <= tensor.last:
                places[root] = max(places.get(root, 0), tensor.bytes)
        largest = max(largest, sum(places.values()))
    return largest


def _placed(tensors: Sequence[Tensor], owner: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Offsets of all tensors, and the arena's size, when they share places as `owner` says."""
    members: dict[int, list[Tensor]] = {}
    for tensor, root in zip(tensors, owner, strict=True):
        members.setdefault(root, []).append(tensor)
    places = [
        Tensor(
            parts[0].name,
            max(part.bytes for part in parts),
            min(part.first for part in parts),
            max(part.last for part in parts),
        )
        for parts in members.values()
    ]
    found = place(places)
    offset = dict(zip(members, found, strict=True))
    return tuple(offset[root] for root in owner), extent(places, found)


def _whole(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
