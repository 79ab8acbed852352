"""Router designs: what a router reads, how wide it is, and what that costs on the device.

A design is part of the search space, so its cost is known before anything is fitted. Bytes are
those of firmware/router (`export.device_router`) where they are largest: with two outputs, as the
signed gain needs, although other objectives need one, and with the constants of a threshold that
follows its inputs. Tests compare them with what the device takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_nas.errors import InputError
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.signals import Block, count_signals

MAX_OUTPUTS = 2
_FIXED_BYTES = 32 + 4 + 24  # shapes and pointers, the threshold, the rate controller's constants
_FLOAT_BYTES = 4


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

    def flash_bytes(self, n_classes: int, n_features: int) -> int:
        """Bytes of flash for the router's constants; its code is part of the runtime.

        Statistics have float weights. The other blocks are int8 tensors of the base already, or a
        class: each has int8 weights, and a scale per output.
        """
        if not self.blocks:
            return _FIXED_BYTES
        stats = self._n_stats(n_classes)
        integers = self.n_signals(n_classes, n_features) - stats
        blocks = len(self.blocks) - ("stats" in self.blocks)
        return constant_bytes(integers, blocks, stats, self.hidden, MAX_OUTPUTS)

    def sram_bytes(self, n_classes: int, n_features: int) -> int:
        """Bytes of SRAM while it runs: the int8 scores and features, statistics and hidden units.

        Scores and features are counted as if they lay outside the base's own buffers. An early
        router reads a tensor that the base holds anyway and sums up its channels.
        """
        wide = self._n_stats(n_classes) + self.hidden + (n_features if self.cut else 0)
        read = 0 if self.cut else _words(n_classes)
        read += _words(n_features) if self.needs_features else 0
        return _FLOAT_BYTES * wide + read

    def _n_stats(self, n_classes: int) -> int:
        return count_signals(("stats",), n_classes, 0) if "stats" in self.blocks else 0

    def _channels(self) -> int:
        return self.hidden + MAX_OUTPUTS if self.blocks else 0


def layer_macs(n_signals: int, hidden: int, n_outputs: int) -> int:
    """Weights of a linear map (`hidden` = 0) or of two layers; as many multiply-accumulates."""
    return n_signals * hidden + hidden * n_outputs if hidden else n_signals * n_outputs


def constant_bytes(integers: int, blocks: int, stats: int, hidden: int, outputs: int) -> int:
    """Bytes of a fitted router's constants, its thresholds included.

    Args:
        integers: signals with int8 weights.
        blocks: of these; each has one float scale for each output of the first layer.
        stats: signals with float weights.
        hidden: units; their own weights are floats. 0 for a linear router.
        outputs: of the last layer.
    """
    first = hidden or outputs
    floats = first * (1 + stats + blocks) + (outputs * (1 + hidden) if hidden else 0)
    return _FIXED_BYTES + _words(integers * first) + _FLOAT_BYTES * floats


def _words(n_bytes: int) -> int:
    return (n_bytes + 3) // 4 * 4


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
