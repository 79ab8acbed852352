"""A network that computes in float what its int8 version will compute: for training and scoring.

Weights and activations are rounded to int8 on the way; gradients pass the rounding (Jacob et al.,
CVPR 2018, section 3). Batch norm is folded before training: final training is short, and what is
trained is then exactly what is exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from hybrid_nas.quantise.float_graph import FloatOp, GraphOutputs, run_graph, run_op
from hybrid_nas.quantise.scheme import Affine, fake_weight, image_as_int8_sees_it
from hybrid_nas.spaces.opspec import OpSpec


class FakeQuantNet(nn.Module):
    """Runs a float graph as int8 would; ranges of activations are measured by `calibrate`.

    Args:
        ops: the float graph; its tensors are copied.

    Attributes:
        specs: the operators' shapes and wiring.
        ranges: buffer (operators, 2): lowest and highest value of each output.
    """

    ranges: Tensor

    def __init__(self, ops: Sequence[FloatOp]) -> None:
        super().__init__()
        self.specs: tuple[OpSpec, ...] = tuple(op.spec for op in ops)
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        for index, op in enumerate(ops):
            if op.weight is not None and op.bias is not None:
                self.weights[str(index)] = nn.Parameter(op.weight.clone())
                self.biases[str(index)] = nn.Parameter(op.bias.clone())
        self.register_buffer("ranges", torch.zeros(len(ops), 2))
        self._observing = False
        self._calibrated_batches = 0

    # -- ranges

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Measure the range of every output on batches of preprocessed images.

        The mean over batches of each batch's extremes: a single outlier does not cost everybody
        resolution.
        """
        self.ranges.zero_()
        self._observing, self._calibrated_batches = True, 0
        try:
            with torch.inference_mode():
                for batch in batches:
                    self._calibrated_batches += 1
                    self.run(batch)
        finally:
            self._observing = False

    def _observe(self, index: int, y: Tensor) -> None:
        extremes = torch.stack([y.amin(), y.amax()])
        self.ranges[index] += (extremes - self.ranges[index]) / self._calibrated_batches

    def affine(self, index: int) -> Affine:
        """Scheme of an operator's output; pools keep their input's, as their kernels want it."""
        spec = self.specs[index]
        if spec.op in ("avgpool", "maxpool"):
            source = index - spec.source
            return self.affine(source)
        low, high = self.ranges[index].tolist()
        return Affine.of_range(low, high)

    # -- running

    def run(self, images: Tensor, taps: Sequence[int] = ()) -> GraphOutputs:
        """Outputs for preprocessed images (n, c, h, w), also of the operators `taps`."""
        schemes = None if self._observing else [self.affine(k) for k in range(len(self.specs))]

        def step(index: int, x: Tensor, second: Tensor | None) -> Tensor:
            key, spec = str(index), self.specs[index]
            weight = bias = None
            if key in self.weights:
                weight, bias = fake_weight(self.weights[key]), self.biases[key]
            y = run_op(spec, x, second, weight, bias)
            if schemes is None:
                self._observe(index, y)
                return y
            return schemes[index].fake(y)

        outputs = run_graph(self.specs, image_as_int8_sees_it(images), step, taps)
        return GraphOutputs.of(self.specs, outputs, taps)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (n, classes), of preprocessed images (n, c, h, w)."""
        return self.run(images).logits
