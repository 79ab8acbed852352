"""Building blocks of the supported networks, each with its input shape, and their operators.

A block is frozen and hashable and knows its own shape, so a network is a tuple of blocks, and
whatever is computed for one block (operators, cost) can be computed once and looked up ever after.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

from hybrid_nas.spaces.opspec import Activation, OpSpec


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round channels to a multiple of `divisor`, never down by more than 10 % (MobileNet's rule).

    >>> make_divisible(12), make_divisible(20), make_divisible(11.2)
    (16, 24, 16)
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def conv_out(size: int, stride: int) -> int:
    """Output size of a convolution padded by half its odd kernel."""
    return (size - 1) // stride + 1


class Block(ABC):
    """A piece of a network that reads one tensor of shape (h, w, cin) and writes one."""

    __slots__ = ()
    h: int
    w: int
    cin: int

    @property
    @abstractmethod
    def out_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the output."""

    @abstractmethod
    def lower(self) -> tuple[OpSpec, ...]:
        """The block's operators; only the first may read from outside the block (and residuals)."""

    @property
    @abstractmethod
    def params(self) -> int:
        """Trainable parameters as published tables count them (batch norm: two a channel)."""


@lru_cache(maxsize=1 << 18)
def block_ops(block: Block) -> tuple[OpSpec, ...]:
    """`block.lower()`, computed once per distinct block."""
    return block.lower()


@dataclass(frozen=True, slots=True)
class ConvBlock(Block):
    """Convolution, batch norm (``bn``), activation; ``skip`` adds the input at the end."""

    h: int
    w: int
    cin: int
    cout: int
    kernel: int = 1
    stride: int = 1
    activation: Activation = "relu6"
    bn: bool = True
    skip: bool = False

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the output."""
        return conv_out(self.h, self.stride), conv_out(self.w, self.stride), self.cout

    def lower(self) -> tuple[OpSpec, ...]:
        """One convolution (a dense layer where the image is a single pixel), then the shortcut."""
        act, k = self.activation, self.kernel
        if self.h == self.w == k == 1:
            first = OpSpec("dense", 1, 1, self.cin, self.cout, activation=act)
        else:
            first = OpSpec("conv", self.h, self.w, self.cin, self.cout, k, self.stride, k // 2, act)
        if not self.skip:
            return (first,)
        return first, OpSpec("add", *self.out_shape, self.cout, bias=False, residual=2)

    @property
    def params(self) -> int:
        """Weights, and batch norm's scale and shift."""
        return self.kernel**2 * self.cin * self.cout + 2 * self.cout * self.bn


@dataclass(frozen=True, slots=True)
class MBConvBlock(Block):
    """Inverted residual: 1x1 expansion, depthwise, [squeeze-and-excitation], 1x1 projection.

    ``mid`` are the expanded channels; ``expand`` false means that there is no first 1x1
    convolution. ``se_channels`` is the squeezed width, 0 without squeeze-and-excitation.
    """

    h: int
    w: int
    cin: int
    mid: int
    cout: int
    kernel: int
    stride: int = 1
    activation: Activation = "relu6"
    se_channels: int = 0
    expand: bool = True
    skip: bool = False

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the output."""
        return conv_out(self.h, self.stride), conv_out(self.w, self.stride), self.cout

    def lower(self) -> tuple[OpSpec, ...]:
        """The operators in execution order; the shortcut's addition is the last."""
        act, (oh, ow, _) = self.activation, self.out_shape
        ops: list[OpSpec] = []
        if self.expand:
            ops.append(OpSpec("conv", self.h, self.w, self.cin, self.mid, activation=act))
        ops.append(
            OpSpec(
                "dwconv",
                self.h,
                self.w,
                self.mid,
                self.mid,
                self.kernel,
                self.stride,
                self.kernel // 2,
                act,
            )
        )
        if self.se_channels:
            squeezed = self.se_channels
            ops += [
                OpSpec("avgpool", oh, ow, self.mid, self.mid, kernel=0, bias=False),
                OpSpec("dense", 1, 1, self.mid, squeezed, activation="relu"),
                OpSpec("dense", 1, 1, squeezed, self.mid, activation="h_sigmoid"),
                OpSpec("mul", oh, ow, self.mid, self.mid, bias=False, source=4, residual=1),
            ]
        ops.append(OpSpec("conv", oh, ow, self.mid, self.cout))
        if self.skip:
            ops.append(
                OpSpec("add", oh, ow, self.cout, self.cout, bias=False, residual=len(ops) + 1)
            )
        return tuple(ops)

    @property
    def params(self) -> int:
        """Weights, batch norm, and squeeze-and-excitation with its biases."""
        total = (self.cin * self.mid + 2 * self.mid) if self.expand else 0
        total += (self.kernel**2 + 2) * self.mid
        total += self.mid * self.cout + 2 * self.cout
        if self.se_channels:
            total += 2 * self.mid * self.se_channels + self.se_channels + self.mid
        return total


@dataclass(frozen=True, slots=True)
class BottleneckBlock(Block):
    """ResNet-D bottleneck: 1x1, 3x3 (strided), 1x1, and a shortcut added before the last ReLU.

    The shortcut is the identity, or (``project``) a 2x2 average pool where strided, then a 1x1
    convolution (He et al., "Bag of Tricks", CVPR 2019, figure 2c).
    """

    h: int
    w: int
    cin: int
    mid: int
    cout: int
    kernel: int = 3
    stride: int = 1
    project: bool = False

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the output."""
        return conv_out(self.h, self.stride), conv_out(self.w, self.stride), self.cout

    def lower(self) -> tuple[OpSpec, ...]:
        """Main path first, then the shortcut, then the addition."""
        oh, ow, _ = self.out_shape
        k, s = self.kernel, self.stride
        ops = [
            OpSpec("conv", self.h, self.w, self.cin, self.mid, activation="relu"),
            OpSpec("conv", self.h, self.w, self.mid, self.mid, k, s, k // 2, "relu"),
            OpSpec("conv", oh, ow, self.mid, self.cout),
        ]
        residual = 4
        if self.project:
            source = 4
            if s > 1:
                pad_h = self.h % 2  # odd images are padded up (ceil mode), as AvgPool2d does
                ops.append(
                    OpSpec(
                        "avgpool",
                        self.h + pad_h,
                        self.w + self.w % 2,
                        self.cin,
                        self.cin,
                        s,
                        s,
                        bias=False,
                        source=source,
                    )
                )
                source = 1
            ops.append(OpSpec("conv", oh, ow, self.cin, self.cout, source=source))
            residual = len(ops) - 2
        ops.append(
            OpSpec(
                "add",
                oh,
                ow,
                self.cout,
                self.cout,
                activation="relu",
                bias=False,
                residual=residual,
            )
        )
        return tuple(ops)

    @property
    def params(self) -> int:
        """Weights and batch norm of all convolutions."""
        total = self.cin * self.mid + self.kernel**2 * self.mid**2 + self.mid * self.cout
        total += 4 * self.mid + 2 * self.cout
        return total + (self.cin * self.cout + 2 * self.cout) * self.project


@dataclass(frozen=True, slots=True)
class PoolBlock(Block):
    """Global average pool, or a strided maximum (``kernel`` > 0)."""

    h: int
    w: int
    cin: int
    kernel: int = 0
    stride: int = 1

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the output."""
        if self.kernel == 0:
            return 1, 1, self.cin
        return conv_out(self.h, self.stride), conv_out(self.w, self.stride), self.cin

    def lower(self) -> tuple[OpSpec, ...]:
        """One pooling operator."""
        return (
            OpSpec(
                "maxpool" if self.kernel else "avgpool",
                self.h,
                self.w,
                self.cin,
                self.cin,
                self.kernel,
                self.stride,
                self.kernel // 2,
                bias=False,
            ),
        )

    @property
    def params(self) -> int:
        """None."""
        return 0


@dataclass(frozen=True, slots=True)
class DenseBlock(Block):
    """The classifier: a linear layer with bias."""

    h: int
    w: int
    cin: int
    cout: int

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(1, 1, classes)."""
        return 1, 1, self.cout

    def lower(self) -> tuple[OpSpec, ...]:
        """One dense operator."""
        return (OpSpec("dense", 1, 1, self.cin, self.cout),)

    @property
    def params(self) -> int:
        """Weights and biases."""
        return (self.cin + 1) * self.cout
