"""A base as the device will compute it, and its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybrid_nas.data.dataset import Dataset, ImageSet
from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import FloatOp, GraphOutputs
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import block_ops
from hybrid_nas.spaces.cuts import cut_blocks
from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.supernet.checkpoint import read_tensors, to_bytes
from hybrid_nas.supernet.preprocess import normalise, resize, to_tensor
from hybrid_nas.typing import Float32Array

SCHEMA = "hybrid-nas/int8-base/1"
_BATCH = 64
_CALIBRATION_SEED = 0xCA11


@dataclass(frozen=True, eq=False)
class Int8Base:
    """A quantised base and what it was made for.

    Attributes:
        network: computes in float what int8 will compute.
        architecture: its operators and input shape.
        cuts: for each place where a router may leave the base early, the last operator before it.
    """

    network: FakeQuantNet
    architecture: Architecture
    cuts: tuple[int, ...] = ()

    def pixels(self, images: Tensor) -> Tensor:
        """Network input of stored uint8 images (n, c, h, w)."""
        height, width, _ = self.architecture.input_shape
        return normalise(resize(images, (height, width)))

    def run(self, images: Tensor) -> GraphOutputs:
        """What the base says of stored uint8 images (n, c, h, w), its cuts tapped."""
        return self.network.run(self.pixels(images), self.cuts)

    def outputs(self, images: ImageSet, source: str) -> ModelOutputs:
        """What the base says of labelled images; `source` names them in messages."""
        training = self.network.training
        self.network.eval()
        found = outputs_in_batches(self.run, images, source, self.network.ranges.device)
        self.network.train(training)
        return found

    def calibrate(self, data: Dataset, n_images: int) -> None:
        """Measure activations' ranges on training images, always the same ones."""
        device = self.network.ranges.device
        images = to_tensor(data.training_images(n_images, _CALIBRATION_SEED).images)
        self.network.calibrate(self.pixels(part.to(device)) for part in images.split(_BATCH))


def router_inputs(found: GraphOutputs, source: str) -> ModelOutputs:
    """What a router reads of a network's outputs."""
    return ModelOutputs(
        logits=_array(found.logits),
        features=_array(found.features),
        stage_features=tuple(_array(tensor.mean((2, 3))) for tensor in found.tapped),
        source=source,
    )


def outputs_in_batches(
    run: Callable[[Tensor], GraphOutputs], images: ImageSet, source: str, device: torch.device
) -> ModelOutputs:
    """What `run` says of labelled images, given as stored uint8 tensors (n, c, h, w)."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            stored = to_tensor(images.images[start : start + _BATCH]).to(device)
            parts.append(router_inputs(run(stored), source))
    stages = zip(*(part.stage_features for part in parts), strict=True)
    return ModelOutputs(
        labels=images.labels,
        logits=np.concatenate([part.logits for part in parts if part.logits is not None]),
        features=np.concatenate([part.features for part in parts if part.features is not None]),
        groups=images.groups,
        stage_features=tuple(np.concatenate(stage) for stage in stages),
        source=source,
    )


def _array(tensor: Tensor) -> Float32Array:
    found: Float32Array = tensor.detach().cpu().numpy()
    return found


def op_cuts(space: SearchSpace, genes: Genes) -> tuple[int, ...]:
    """For each of the space's cuts, the last operator before it in an architecture."""
    lengths = np.cumsum([len(block_ops(b)) for b in space.architecture(genes).blocks])
    return tuple(int(lengths[blocks - 1]) - 1 for blocks in cut_blocks(space, genes))


def save_base(base: Int8Base, path: Path, about: dict[str, Any]) -> None:
    """Write weights and ranges; `about` holds plain values (see `belonging.about_candidate`)."""
    state = {name: tensor.detach().cpu() for name, tensor in base.network.state_dict().items()}
    atomic_write(path, to_bytes({"schema": SCHEMA, "about": about, "state_dict": state}))


def read_about(path: Path) -> dict[str, Any]:
    """What a file that `save_base` wrote says of itself.

    Raises:
        InputError: it is damaged or something else.
    """
    about = _read(path).get("about")
    return about if isinstance(about, dict) else {}


def load_base(path: Path, architecture: Architecture, cuts: tuple[int, ...] = ()) -> Int8Base:
    """The base in a file that `save_base` wrote; `cuts` as in `Int8Base`.

    Raises:
        InputError: it is damaged, something else, or of another architecture.
    """
    document = _read(path)
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
    return Int8Base(network.eval(), architecture, cuts)


def _read(path: Path) -> dict[str, Any]:
    document = read_tensors(path)
    if document.get("schema") != SCHEMA:
        raise InputError(f"{path} is no trained base: schema {document.get('schema')!r}")
    return document


def _blank(op: str, cin: int, cout: int, kernel: int) -> tuple[Tensor, Tensor]:
    if op == "dense":
        return torch.zeros(cout, cin), torch.zeros(cout)
    per_filter = 1 if op == "dwconv" else cin
    return torch.zeros(cout, per_filter, kernel, kernel), torch.zeros(cout)
