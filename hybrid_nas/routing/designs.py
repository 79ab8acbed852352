"""Router designs: what a router reads, how wide it is, and what that costs on the device.

A design is part of the search space, so its cost is known before anything is fitted. Costs are
upper bounds over the objectives: two outputs are counted, as the signed gain needs, although others
need one.
"""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_nas.errors import InputError
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.signals import Block, count_signals

MAX_OUTPUTS = 2
_THRESHOLD_BYTES = 4
_PER_CHANNEL_BYTES = 8  # int32 bias, and 32 bits of multiplier and shift
_PER_STATISTIC_BYTES = 8  # 32-bit offset and multiplier that bring one of `stats` to int8
_WIDE_BYTES = 4  # of an output, which stays 32 bits wide, and of a class's float score


@dataclass(frozen=True)
class RouterDesign:
    """The shape of a router: a linear map of some signals, or one with a hidden layer.

    Args:
        kind: the design's name, as in the registry.
        blocks: the signals that are read (`signals.Block`); none for a plain confidence.
        hidden: units of the hidden layer (ReLU); 0 for a linear router.

    >>> design("linear-stats").params(n_classes=10, n_features=0)  # 9 weights and a bias, twice
    20
    """

    kind: str
    blocks: tuple[Block, ...] = ()
    hidden: int = 0

    @property
    def needs_features(self) -> bool:
        """Whether the base's last pooled features are read."""
        return "features" in self.blocks

    @property
    def cut(self) -> int:
        """Number of the cut (`spaces.cuts`) at which it decides; 0 once the base has answered.

        A router that decides earlier reads that stage's pooled features and nothing else, as there
        are no scores yet; a sent image need not go through the rest of the base.
        """
        return _CUT_OF_BLOCKS.get(self.blocks, 0)

    def n_features(self, outputs: ModelOutputs) -> int:
        """How many pooled features of a base are read; 0 if none."""
        if self.cut:
            return int(outputs.stage_features[self.cut - 1].shape[1])
        read = outputs.features if self.needs_features else None
        return 0 if read is None else int(read.shape[1])

    def n_signals(self, n_classes: int, n_features: int) -> int:
        """Numbers read per input."""
        return count_signals(self.blocks, n_classes, n_features)

    def macs(self, n_classes: int, n_features: int) -> int:
        """Multiply-accumulates per input; the class block is counted as if it were dense.

        The pooling of an early router's features is not among them: it is an operator of its own.
        """
        signals = self.n_signals(n_classes, n_features)
        return layer_macs(signals, self.hidden, MAX_OUTPUTS)

    def params(self, n_classes: int, n_features: int) -> int:
        """Weights and biases."""
        return self.macs(n_classes, n_features) + self._channels()

    def weight_bytes(self, n_classes: int, n_features: int) -> int:
        """Bytes of int8 weights."""
        return self.macs(n_classes, n_features)

    def bias_bytes(self, n_classes: int, n_features: int) -> int:
        """Bytes of int32 biases, of scales, and of the threshold.

        Each of the `stats` has its own scale; the other blocks are int8 tensors of the base
        already, and their standardisation is folded into the first layer (`RouterNetwork.folded`).
        """
        stats = count_signals(("stats",), n_classes, n_features) if "stats" in self.blocks else 0
        return constant_bytes(self._channels()) + stats * _PER_STATISTIC_BYTES

    def flash_bytes(self, n_classes: int, n_features: int) -> int:
        """Bytes of flash for the router's constants; its code is part of the runtime."""
        return self.weight_bytes(n_classes, n_features) + self.bias_bytes(n_classes, n_features)

    def sram_bytes(self, n_classes: int, n_features: int) -> int:
        """Bytes of SRAM while it runs: int8 signals and hidden units, wide outputs, class scores.

        Nothing is assumed to lie in the base's own buffers. Class scores are floats, from which
        confidences and the `stats` are computed; an early router has none.
        """
        wide = (MAX_OUTPUTS if self.blocks else 1) + (0 if self.cut else n_classes)
        return self.n_signals(n_classes, n_features) + self.hidden + _WIDE_BYTES * wide

    def _channels(self) -> int:
        return self.hidden + MAX_OUTPUTS if self.blocks else 0


def layer_macs(n_signals: int, hidden: int, n_outputs: int) -> int:
    """Weights of a linear map (`hidden` = 0) or of two layers; as many multiply-accumulates."""
    return n_signals * hidden + hidden * n_outputs if hidden else n_signals * n_outputs


def constant_bytes(channels: int) -> int:
    """Bytes of the biases and scales of so many output channels, and of the threshold."""
    return channels * _PER_CHANNEL_BYTES + _THRESHOLD_BYTES


_LOGIT_BLOCKS: tuple[Block, ...] = ("stats", "class", "logits")
_FEATURE_BLOCKS: tuple[Block, ...] = ("stats", "class", "features")
_CUT_OF_BLOCKS: dict[tuple[Block, ...], int] = {("stage1",): 1, ("stage2",): 2}

DESIGNS = {
    design.kind: design
    for design in (
        RouterDesign("confidence"),
        RouterDesign("linear-stats", ("stats",)),
        RouterDesign("linear-class", ("stats", "class")),
        RouterDesign("linear-logits", _LOGIT_BLOCKS),
        RouterDesign("linear-features", _FEATURE_BLOCKS),
        RouterDesign("mlp8-stats", ("stats", "class"), 8),
        RouterDesign("mlp8-logits", _LOGIT_BLOCKS, 8),
        RouterDesign("mlp8-features", _FEATURE_BLOCKS, 8),
        RouterDesign("mlp16-features", _FEATURE_BLOCKS, 16),
    )
}
"""Every design that decides once the base has answered, by its name."""

EARLY_DESIGNS = {
    design.kind: design
    for design in (
        RouterDesign("linear-stage1", ("stage1",)),
        RouterDesign("linear-stage2", ("stage2",)),
        RouterDesign("mlp8-stage1", ("stage1",), 8),
        RouterDesign("mlp8-stage2", ("stage2",), 8),
    )
}
"""Every design that decides before that, by its name."""

ALL_DESIGNS = DESIGNS | EARLY_DESIGNS

DEFAULT_DESIGN = "linear-features"
"""Under 2 KB with 10 classes and up to 900 features."""
DEFAULT_DESIGN_WITHOUT_FEATURES = "linear-class"
MAX_DEFAULT_BYTES = 2048
"""What the constants of a default router may take in int8."""


def small_design(n_classes: int, n_features: int) -> RouterDesign:
    """The design that reads most within `MAX_DEFAULT_BYTES`; without features if there are none.

    >>> small_design(10, 320).kind, small_design(1000, 320).kind, small_design(100, 0).kind
    ('linear-features', 'linear-stats', 'linear-class')
    """
    kinds = [DEFAULT_DESIGN] if n_features else []
    for kind in (*kinds, DEFAULT_DESIGN_WITHOUT_FEATURES):
        if DESIGNS[kind].flash_bytes(n_classes, n_features) <= MAX_DEFAULT_BYTES:
            return DESIGNS[kind]
    return DESIGNS["linear-stats"]


def design(kind: str) -> RouterDesign:
    """The design of that name.

    Raises:
        InputError: listing the names there are.
    """
    if kind not in ALL_DESIGNS:
        raise InputError(f"{kind!r} is no router design: expected one of {', '.join(ALL_DESIGNS)}")
    return ALL_DESIGNS[kind]
