"""Borders of windows in a TFLite file: how our padding is said in a format that pads otherwise.

Our padding is k // 2 on all sides. TFLite's SAME puts the odd pixel at the bottom and right, so
with stride 2 on even sizes its windows lie one pixel further. Then there are two exact ways:

* ``kernel``: a last row and column of zeros make the kernel even, and SAME agrees again. It costs
  products with zero: 16/9 of those of a 3x3 kernel.
* ``pad``: a PAD before the operator. It costs a copy of the input.

``auto`` takes the PAD where its copy fits under the peak that the network has anyway, and the
kernel where it does not: never more memory, and no more products than that takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from hybrid_nas.hardware.sram import live_bytes
from hybrid_nas.spaces.opspec import OpSpec

Border = Literal["auto", "kernel", "pad"]
Written = Literal["VALID", "SAME", "kernel", "pad"]
"""How one operator's windows are written."""

ARENA_ALIGNMENT = 16
"""Bytes that tensors start at a multiple of in the arena of a TFLite runtime."""


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of `ARENA_ALIGNMENT`."""
    return -(-size // ARENA_ALIGNMENT) * ARENA_ALIGNMENT


def border_pixels(spec: OpSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels (before, after) on both axes that an operator's windows read beyond the image.

    >>> border_pixels(OpSpec("dwconv", 8, 8, 4, 4, kernel=3, stride=2, padding=1))
    ((1, 0), (1, 0))
    """

    def after(size: int, out: int) -> int:
        return max(0, (out - 1) * spec.stride + spec.kernel - spec.padding - size)

    return (spec.padding, after(spec.h, spec.out_h)), (spec.padding, after(spec.w, spec.out_w))


def written_windows(
    specs: Sequence[OpSpec], input_shape: tuple[int, int, int], border: Border
) -> tuple[Written, ...]:
    """How each operator's windows are written; ``VALID`` for those without windows."""
    plain = [_without_copy(spec) for spec in specs]
    if border == "pad":
        return tuple("pad" if way == "kernel" else way for way in plain)
    if border == "kernel":
        return tuple(plain)
    least = _live(specs, input_shape, [way == "pad" for way in plain])
    most = _live(specs, input_shape, [way in ("pad", "kernel") for way in plain])
    peak = max(least)
    return tuple(
        "pad" if way == "kernel" and most[index] <= peak else way for index, way in enumerate(plain)
    )


def _without_copy(spec: OpSpec) -> Written:
    """The way that copies nothing, or ``pad`` where all do."""
    if spec.padding == 0:
        return "VALID"
    if _same_begins_there(spec, spec.kernel):
        return "SAME"
    weighted = spec.op in ("conv", "dwconv")
    return "kernel" if weighted and _same_begins_there(spec, spec.kernel + 1) else "pad"


def _same_begins_there(spec: OpSpec, kernel: int) -> bool:
    """Whether SAME with that kernel starts its windows where our padding does."""
    for size, out in ((spec.h, spec.out_h), (spec.w, spec.out_w)):
        windows = math.ceil(size / spec.stride)
        total = max(0, (windows - 1) * spec.stride + kernel - size)
        if out != windows or total // 2 != spec.padding:
            return False
    return True


def _live(
    specs: Sequence[OpSpec], input_shape: tuple[int, int, int], padded: Sequence[bool]
) -> list[int]:
    """Bytes alive at each operator, where some read a copy of their input with its border."""
    sizes = [math.prod(input_shape), *(spec.out_bytes for spec in specs)]
    copies = [_copy_bytes(spec) if pads else 0 for spec, pads in zip(specs, padded, strict=True)]
    nothing = np.zeros((1, len(specs)), np.int64)
    live = live_bytes(
        tuple((spec.source, spec.residual) for spec in specs),
        np.array([[aligned(size) for size in sizes]]),
        np.array([copies]),
        nothing,
        nothing.astype(float),
    )
    found: list[int] = live[0].tolist()
    return found


def _copy_bytes(spec: OpSpec) -> int:
    (top, bottom), (left, right) = border_pixels(spec)
    return aligned((top + spec.h + bottom) * (left + spec.w + right) * spec.cin)
