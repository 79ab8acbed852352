"""One operator of a network: the currency between search spaces, hardware and profiling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

OpKind = Literal["conv", "dwconv", "dense", "add", "mul", "avgpool", "maxpool"]
OP_KINDS: tuple[OpKind, ...] = get_args(OpKind)
Activation = Literal["none", "relu", "relu6", "h_swish", "h_sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
Dtype = Literal["int8", "float32"]

MOST = 1 << 20
"""Largest height, width, kernel, stride, padding or number of channels."""
_MOST_WORK = 1 << 50  # of one operator: counts stay exact in 64 bits
_KEEP_CHANNELS = ("dwconv", "add", "mul", "avgpool", "maxpool")
_WITHOUT_WINDOW = ("dense", "add", "mul")
_POOLS = ("avgpool", "maxpool")


@dataclass(frozen=True, slots=True)
class OpSpec:
    """Shape of one operator at batch size one, and where its operands come from.

    A network is a tuple of `OpSpec` in execution order. Operator ``i`` reads the output of operator
    ``i - source`` (index -1 is the network's input) and, when ``residual`` is not 0, as second
    operand the output of operator ``i - residual``. That makes the tuple a complete graph.

    Attributes:
        op: what it computes. ``dense`` is a matrix-vector product, also that of a 1x1 convolution
            on a 1x1 image; ``mul`` scales channels (squeeze-and-excitation).
        h, w, cin: input shape.
        cout: output channels.
        kernel, stride, padding: square window; global pooling has ``kernel`` 0.
        activation: fused into the operator.
        bias: a bias per output channel (folded batch norm included).
        dtype: type of weights and activations.
        source, residual: distances to the operands' producers, see above.

    Example:
        >>> OpSpec("conv", 96, 96, 3, 16, kernel=3, stride=2, padding=1).macs
        995328
    """

    op: OpKind
    h: int
    w: int
    cin: int
    cout: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    activation: Activation = "none"
    bias: bool = True
    dtype: Dtype = "int8"
    source: int = 1
    residual: int = 0

    @property
    def out_h(self) -> int:
        """Output height."""
        return self._out(self.h)

    @property
    def out_w(self) -> int:
        """Output width."""
        return self._out(self.w)

    def _out(self, size: int) -> int:
        if self.kernel == 0:
            return 1
        return (size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def itemsize(self) -> int:
        """Bytes of one activation or weight."""
        return 1 if self.dtype == "int8" else 4

    @property
    def in_bytes(self) -> int:
        """Bytes of the input tensor."""
        return self.h * self.w * self.cin * self.itemsize

    @property
    def out_elements(self) -> int:
        """Elements of the output tensor."""
        return self.out_h * self.out_w * self.cout

    @property
    def out_bytes(self) -> int:
        """Bytes of the output tensor."""
        return self.out_elements * self.itemsize

    @property
    def weights(self) -> int:
        """Weight elements, biases not counted."""
        match self.op:
            case "conv":
                return self.kernel**2 * self.cin * self.cout
            case "dwconv":
                return self.kernel**2 * self.cout
            case "dense":
                return self.cin * self.cout
            case _:
                return 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers; 0 for everything else."""
        return self.weights * (1 if self.op == "dense" else self.out_h * self.out_w)

    @property
    def shape(self) -> OpSpec:
        """The operator without its wiring: what a latency belongs to."""
        return replace(self, source=1, residual=int(self.residual > 0))


def contradiction(op: OpSpec) -> str:
    """What parts of an operator's shape contradict each other, in a few words; empty if none do.

    >>> contradiction(OpSpec("dwconv", 8, 8, 16, 32, kernel=3, padding=1))
    'dwconv with 16 input and 32 output channels'
    """
    window = f"kernel {op.kernel}, stride {op.stride}, padding {op.padding}"
    if op.op in _KEEP_CHANNELS and op.cin != op.cout:
        return f"{op.op} with {op.cin} input and {op.cout} output channels"
    if op.op == "dense" and (op.h, op.w) != (1, 1):
        return f"dense on {op.h}x{op.w} pixels (on 1x1 only)"
    if op.op in _WITHOUT_WINDOW and (op.kernel, op.stride, op.padding) != (1, 1, 0):
        return f"{op.op} with {window} (no window there: 1, 1, 0)"
    if op.kernel == 0:  # the whole image
        return "" if op.op in _POOLS and op.padding == 0 else f"{op.op} with {window}"
    if op.kernel > min(op.h, op.w) + 2 * op.padding:
        return f"{window} on {op.h}x{op.w} pixels: no output"
    return ""


def too_large(op: OpSpec) -> str:
    """What of an operator is more than any device computes; empty if nothing is.

    >>> too_large(OpSpec("conv", 1 << 20, 1 << 20, 1024, 1024))
    '1152921504606846976 multiply-accumulates (at most 1125899906842624)'
    """
    sides = (op.h, op.w, op.cin, op.cout, op.kernel, op.stride, op.padding)
    if max(sides) > MOST:
        return f"a size of {max(sides)} (at most {MOST})"
    counts = {
        "bytes of input": op.in_bytes,
        "bytes of output": op.out_bytes,
        "weights": op.weights,
        "multiply-accumulates": op.macs,
    }
    for what, count in counts.items():
        if count > _MOST_WORK:
            return f"{count} {what} (at most {_MOST_WORK})"
    return ""
