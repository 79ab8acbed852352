"""A base as the device will compute it, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import FloatOp
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.supernet.checkpoint import read_tensors, to_bytes
from hybrid_nas.supernet.preprocess import normalise, resize, to_tensor

SCHEMA = "hybrid-nas/int8-base/1"
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Int8Base:
    """A quantised base and what it was made for.

    Attributes:
        network: computes in float what int8 will compute.
        architecture: its operators and input shape.
    """

    network: FakeQuantNet
    architecture: Architecture

    def pixels(self, images: Tensor) -> Tensor:
        """Network input of stored uint8 images (n, c, h, w)."""
        height, width, _ = self.architecture.input_shape
        return normalise(resize(images, (height, width)))

    def outputs(self, images: ImageSet, source: str) -> ModelOutputs:
        """What the base says of labelled images; `source` names them in messages."""
        device = self.network.ranges.device
        training = self.network.training
        self.network.eval()
        features, logits = [], []
        with torch.inference_mode():
            for start in range(0, len(images), _BATCH):
                stored = to_tensor(images.images[start : start + _BATCH]).to(device)
                found = self.network.run(self.pixels(stored))
                features.append(found[0].cpu().numpy())
                logits.append(found[1].cpu().numpy())
        self.network.train(training)
        return ModelOutputs(
            labels=images.labels,
            logits=np.concatenate(logits),
            features=np.concatenate(features),
            groups=images.groups,
            source=source,
        )

    def calibrate(self, images: Tensor) -> None:
        """Measure activations' ranges on stored uint8 training images (n, c, h, w)."""
        device = self.network.ranges.device
        self.network.calibrate(self.pixels(part.to(device)) for part in images.split(_BATCH))


def save_base(base: Int8Base, path: Path, about: dict[str, Any]) -> None:
    """Write weights and ranges; `about` holds plain values (space, genes)."""
    state = {name: tensor.detach().cpu() for name, tensor in base.network.state_dict().items()}
    atomic_write(path, to_bytes({"schema": SCHEMA, "about": about, "state_dict": state}))


def load_base(path: Path, architecture: Architecture) -> Int8Base:
    """The base in a file that `save_base` wrote.

    Raises:
        InputError: it is damaged, something else, or of another architecture.
    """
    document = read_tensors(path)
    if document.get("schema") != SCHEMA:
        raise InputError(f"{path} is no trained base: schema {document.get('schema')!r}")
    ops = [
        FloatOp(spec, *_blank(spec.op, spec.cin, spec.cout, spec.kernel))
        if spec.weights
        else FloatOp(spec)
        for spec in architecture.ops
    ]
    network = FakeQuantNet(ops)
    try:
        network.load_state_dict(document["state_dict"])
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"{path} does not hold the weights of {architecture.name or 'this architecture'}: "
            "train the pair again"
        ) from error
    return Int8Base(network.eval(), architecture)


def _blank(op: str, cin: int, cout: int, kernel: int) -> tuple[Tensor, Tensor]:
    if op == "dense":
        return torch.zeros(cout, cin), torch.zeros(cout)
    per_filter = 1 if op == "dwconv" else cin
    return torch.zeros(cout, per_filter, kernel, kernel), torch.zeros(cout)
