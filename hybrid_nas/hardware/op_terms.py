"""What the time of an operator is made of, as numbers to fit: mechanistic terms and features.

*Terms* are counts that a kernel's loops repeat: per call, per output pixel, per value read and
written, per multiply-accumulate, and what unrolled loops do with a remainder. Time is a
non-negative combination of them. *Features* place an operator among others: two operators with
near features have near times, relative to what the terms say.
"""

from __future__ import annotations

import numpy as np

from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.typing import FloatArray, IntArray

_UNROLL = 4  # channels that SIMD kernels take at a time; the rest goes one by one


def mechanistic_terms(op_class: str, arrays: OpArrays) -> FloatArray:
    """Counts that make up the time of one class of operators, float64 (n, terms), none negative."""
    pixels = (arrays.out_h * arrays.out_w).astype(float)
    one, cin, cout = np.ones(len(arrays)), arrays.cin.astype(float), arrays.cout.astype(float)
    k = arrays.kernel.astype(float)
    match op_class:
        case "pointwise":
            columns = [one, pixels, pixels * cin, pixels * cout, pixels * cin * cout]
            columns += [cin * cout, pixels * cout * (arrays.cin % _UNROLL)]
            columns += [(pixels % 2) * cout, (pixels % 2) * cin * cout]
            columns += [pixels * cin * (arrays.cout % 2)]
        case "conv":
            read = k**2 * cin
            columns = [one, pixels, pixels * read, pixels * cout, pixels * read * cout]
            columns += [_window_contents(arrays)[1] * cin * cout, pixels * cout * (read % _UNROLL)]
            columns += [(pixels % 2) * read * cout, pixels * read * (arrays.cout % 2)]
        case "dwconv":
            inside = interior_pixels(arrays)
            lines = arrays.out_h * cout  # rows of outputs, channel by channel
            columns = [one, pixels, cout, cout * k**2, lines, lines * k]
            columns += [arrays.h * arrays.w * cout]
            for part in (inside, pixels - inside):
                columns += [part * cout, part * cout * k, part * cout * k**2]
            # border windows of kernels that skip what lies outside: rows and pixels that are left
            window_rows, window_pixels = _window_contents(arrays)
            columns += [(window_rows - inside * k) * cout, (window_pixels - inside * k**2) * cout]
            # ends of rows, where outputs come four or two at a time
            for rest in (arrays.out_w % 2, arrays.out_w % 4 // 2):
                columns += [lines * rest, lines * rest * k**2]
        case "dense":
            columns = [one, cin, cout, cin * cout]
            columns += [cin * (arrays.cout % _UNROLL), cout * (arrays.cin % _UNROLL)]
        case _:
            columns = [one, arrays.h * arrays.w * cin, pixels * cout]
    return np.stack(columns, axis=1).astype(float)


def features(op_class: str, arrays: OpArrays) -> FloatArray:
    """Where operators of one class stand among others, float64 (n, features); first a size."""
    pixels = (arrays.out_h * arrays.out_w).astype(float)
    inside = interior_pixels(arrays) / np.maximum(pixels, 1)
    cin, cout = np.log2(arrays.cin), np.log2(arrays.cout)
    kernel = np.log2(np.maximum(arrays.kernel, 1))
    unread = (arrays.w + 2 * arrays.padding - arrays.kernel) % arrays.stride  # by the last window
    match op_class:
        case "pointwise":
            columns = [np.log2(pixels), cin, cout, pixels % 2, arrays.cin % _UNROLL]
            columns += [arrays.cout % 2, arrays.stride]
        case "conv":
            columns = [np.log2(pixels), cin, cout, kernel, arrays.stride, inside]
            columns += [arrays.cin % _UNROLL, arrays.cout % 2, unread]
        case "dwconv":
            columns = [np.log2(pixels), cout, kernel, arrays.stride, inside]
            columns += [arrays.cout % _UNROLL, arrays.out_w % 2, arrays.out_w % 4 // 2, unread]
        case "dense":
            columns = [cin, cout, arrays.cin % _UNROLL, arrays.cout % _UNROLL]
        case _:
            columns = [np.log2(arrays.h * arrays.w), np.log2(pixels), cin]
            columns += [arrays.kernel, arrays.stride]
    return np.stack(columns, axis=1).astype(float)


def box(arrays: OpArrays) -> FloatArray:
    """What an operator must lie between the rows in, so as not to be an extrapolation."""
    regimes = [arrays.kernel, arrays.stride, arrays.cin % _UNROLL > 0, arrays.cout % 2]
    pixels = arrays.out_h * arrays.out_w
    return np.stack([pixels, arrays.cin, arrays.cout, *regimes], axis=1).astype(float)


def interior_pixels(arrays: OpArrays) -> FloatArray:
    """Output pixels whose window lies inside the image, (n,)."""
    sides = []
    for size, out in ((arrays.h, arrays.out_h), (arrays.w, arrays.out_w)):
        first = -(-arrays.padding // arrays.stride)
        last = (size + arrays.padding - arrays.kernel) // arrays.stride
        sides.append(np.clip(np.minimum(last, out - 1) - first + 1, 0, None))
    return np.asarray(sides[0] * sides[1], float)


def _window_contents(arrays: OpArrays) -> tuple[FloatArray, FloatArray]:
    """Rows, and pixels, inside the image, summed over all windows; each (n,)."""
    rows = _taps_along(arrays, arrays.h, arrays.out_h)
    columns = _taps_along(arrays, arrays.w, arrays.out_w)
    return np.asarray(rows * arrays.out_w, float), np.asarray(rows * columns, float)


def _taps_along(arrays: OpArrays, size: IntArray, out: IntArray) -> IntArray:
    total = np.zeros(len(arrays), np.int64)
    for tap in range(int(arrays.kernel.max(initial=0))):
        offset = arrays.padding - tap  # output i reads input i * stride - offset
        first = np.maximum(0, -(-offset // arrays.stride))
        last = np.minimum(out - 1, (size - 1 + offset) // arrays.stride)
        total += np.where(tap < arrays.kernel, np.maximum(0, last - first + 1), 0)
    return total
