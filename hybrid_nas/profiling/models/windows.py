"""From windows as model files and logs describe them to an `OpSpec`, or the reason why not.

An `OpSpec` has one kernel, one stride and one padding for both directions and all four sides.
TFLite's SAME padding of a window with stride 2 is uneven: one more pixel below and on the right.
The number that is written is then the one that gives the same output shape and comes nearest to
half the sum of both sides (3x3/2 on 96x96, padded by 0 and 1: written as 1, as in search spaces).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid_nas.spaces.opspec import Activation, Dtype, OpKind, OpSpec

Shape = tuple[int, int, int]
"""Height, width, channels."""

_LARGEST_STRIDE = 8


@dataclass(frozen=True)
class Window:
    """A convolution or a pooling, as a model file describes it.

    Attributes:
        kind: ``conv``, ``dwconv``, ``avgpool`` or ``maxpool``.
        in_shape, out_shape: height, width, channels.
        kernel: height and width.
        stride: of both directions; None where it is not known and must follow from the shapes.
        padding: rows above and below together, columns left and right together; None likewise.
        dilation: of both directions.
        activation: that follows at once.
        bias: whether there is one per output channel.
        dtype: of the values.
    """

    kind: OpKind
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    dilation: tuple[int, int] = (1, 1)
    activation: Activation = "none"
    bias: bool = True
    dtype: Dtype = "int8"


Expressed = OpSpec | str
"""An operator, or the reason why no `OpSpec` can say what it is."""


def express(window: Window) -> Expressed:
    """The window as an operator, without wiring; a reason where there is none."""
    (h, w, cin), (out_h, out_w, cout), (k, across) = (
        window.in_shape,
        window.out_shape,
        window.kernel,
    )
    if min(*window.in_shape, *window.out_shape, k, across) < 1:
        return "a shape with a dimension below 1"
    if window.dilation != (1, 1):
        return f"dilation {_by(window.dilation)}"
    if window.kind != "conv" and cout != cin:
        return f"{cin} input but {cout} output channels without mixing them"
    if window.kind.endswith("pool") and (out_h, out_w) == (1, 1) and (k, across) == (h, w):
        return OpSpec(window.kind, h, w, cin, cout, 0, 1, 0, window.activation, False, window.dtype)
    if k != across:
        return f"a {_by(window.kernel)} window, which is not square"
    if window.stride is not None and window.stride[0] != window.stride[1]:
        return f"stride {_by(window.stride)}, which differs by direction"
    found = _stride_and_padding(window)
    if isinstance(found, str):
        return found
    stride, padding = found
    spec = OpSpec(
        *(window.kind, h, w, cin, cout, k, stride, padding),
        activation=window.activation,
        bias=window.bias and not window.kind.endswith("pool"),
        dtype=window.dtype,
    )
    return as_dense(spec)


def as_dense(spec: OpSpec) -> OpSpec:
    """A 1x1 convolution on one pixel is a dense layer; anything else stays as it is."""
    on_one_pixel = (spec.h, spec.w, spec.kernel, spec.padding) == (1, 1, 1, 0)
    if spec.op == "conv" and on_one_pixel:
        return replace(spec, op="dense", stride=1)
    return spec


def _stride_and_padding(window: Window) -> tuple[int, int] | str:
    """The one stride and padding that give the output shape, or why there are none."""
    k = window.kernel[0]
    if window.stride is not None:
        strides: Sequence[int] = (window.stride[0],)
    elif window.in_shape[:2] == window.out_shape[:2]:
        strides = (1,)
    else:
        strides = range(1, max(_LARGEST_STRIDE, k) + 1)
    paddings = {stride: found for stride in strides if (found := _paddings(window, stride))}
    if not paddings:
        return (
            f"a {k}x{k} window from {_by(window.in_shape[:2])} to {_by(window.out_shape[:2])}, "
            "which no even padding gives"
        )
    if len(paddings) > 1 and window.out_shape[:2] != (1, 1):
        return (
            f"a {k}x{k} window from {_by(window.in_shape[:2])} to {_by(window.out_shape[:2])}, "
            f"whose stride may be {' or '.join(map(str, paddings))}: give --model"
        )
    stride = min(paddings)
    wanted = None if window.padding is None else max(window.padding)
    nearest = min(
        paddings[stride], key=lambda p: (0, p) if wanted is None else (abs(2 * p - wanted), -p)
    )
    return stride, nearest


def _paddings(window: Window, stride: int) -> list[int]:
    """Paddings with which the stride gives the output shape in both directions."""
    k = window.kernel[0]
    sides = list(zip(window.in_shape[:2], window.out_shape[:2], strict=True))
    return [
        padding
        for padding in range(k // 2 + 1)
        if all((size + 2 * padding - k) // stride + 1 == out for size, out in sides)
    ]


def _by(pair: Sequence[int]) -> str:
    return "x".join(map(str, pair))
