"""A concrete network: blocks in order, whatever search space or file it came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.blocks import Block, block_ops
from hybrid_nas.spaces.opspec import OpSpec, too_large


@dataclass(frozen=True)
class Architecture:
    """An image classifier as a chain of blocks; frozen and hashable.

    Attributes:
        input_shape: (height, width, channels) of the image.
        blocks: in execution order; each block's input shape is the one before's output shape.
        name: where it came from, for messages.
        bn_eps: what batch norm adds to the variance.
    """

    input_shape: tuple[int, int, int]
    blocks: tuple[Block, ...]
    name: str = ""
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        shape = self.input_shape
        for number, block in enumerate(self.blocks):
            if (block.h, block.w, block.cin) != shape:
                raise InputError(
                    f"block {number} of {self.name or 'the architecture'} reads "
                    f"{(block.h, block.w, block.cin)} (h, w, channels), but gets {shape}"
                )
            shape = block.out_shape

    @property
    def resolution(self) -> int:
        """The longer side of the input image, pixels."""
        return max(self.input_shape[:2])

    @cached_property
    def ops(self) -> tuple[OpSpec, ...]:
        """All operators in execution order."""
        return tuple(op for block in self.blocks for op in block_ops(block))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image."""
        return sum(op.macs for op in self.ops)

    @property
    def params(self) -> int:
        """Trainable parameters, batch norm included."""
        return sum(block.params for block in self.blocks)

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return self.blocks[-1].out_shape[2]


def check_sizes(architecture: Architecture, where: str) -> Architecture:
    """`architecture`, if costs of it can be worked out; `where` begins the message.

    Raises:
        InputError: an operator is larger than any device computes.
    """
    for number, op in enumerate(architecture.ops):
        if wrong := too_large(op):
            raise InputError(f"{where}: operator {number} ({op.op}) has {wrong}: make it smaller")
    return architecture
