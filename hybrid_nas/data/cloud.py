"""The cloud's model as the rest of the program sees it: images in, predicted classes out.

Kinds of it live in modules of their own: `onnx_cloud`, `predictions_cloud`, and the supernet room's
torch files. Whatever has the members of `CloudModel` will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from hybrid_nas.data.class_names import check_class_names
from hybrid_nas.data.dataset import Dataset, ImageSet, Split
from hybrid_nas.data.normalisation import Normalisation
from hybrid_nas.errors import InputError
from hybrid_nas.typing import FloatArray, IntArray

UNDERSTOOD = (
    "a model file .onnx, a file .pt written by this program, or an .npz file of predictions"
)


@dataclass(frozen=True)
class CloudOutputs:
    """What the cloud says about n images.

    Attributes:
        pred: predicted class of each, (n,).
        probs: class probabilities, (n, classes), or None where only predictions are known.
    """

    pred: IntArray
    probs: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.pred)
        if self.pred.ndim != 1:
            raise InputError(f"predictions must have shape (n,), got {self.pred.shape}")
        if self.probs is not None and (self.probs.ndim != 2 or len(self.probs) != n):
            raise InputError(
                f"{n} predictions need probabilities of shape ({n}, classes), got "
                f"{self.probs.shape}"
            )

    def take(self, index: IntArray) -> CloudOutputs:
        """The outputs at `index`, in that order."""
        return CloudOutputs(self.pred[index], None if self.probs is None else self.probs[index])


@runtime_checkable
class CloudModel(Protocol):
    """A classifier too big for the device.

    Attributes:
        name: for people.
        fingerprint: hex digest that changes when any of its answers may change.
    """

    name: str
    fingerprint: str

    def predict(self, images: ImageSet) -> CloudOutputs:
        """Outputs for `images`; labels in it are not looked at."""


@runtime_checkable
class KnowsSplits(Protocol):
    """A cloud that answers for a whole split without seeing its images."""

    def predict_split(self, dataset: Dataset, split: Split) -> CloudOutputs:
        """Outputs for ``dataset.split(split)``, in its order."""


_outputs: dict[tuple[str, str, Split], CloudOutputs] = {}


def cloud_outputs(cloud: CloudModel, dataset: Dataset, split: Split) -> CloudOutputs:
    """The cloud's outputs for a split; computed once per process for the same cloud and data.

    Raises:
        InputError: if the outputs do not belong to the data set's classes.
    """
    key = (cloud.fingerprint, dataset.fingerprint, split)
    if key not in _outputs:
        if isinstance(cloud, KnowsSplits):
            outputs = cloud.predict_split(dataset, split)
        else:
            outputs = cloud.predict(dataset.split(split))
        check_classes(outputs, len(dataset.classes), cloud.name)
        _outputs[key] = outputs
    return _outputs[key]


def check_classes(outputs: CloudOutputs, n_classes: int, where: str) -> None:
    """Raise an InputError unless predictions and probabilities are over `n_classes` classes."""
    if outputs.probs is not None and outputs.probs.shape[1] != n_classes:
        raise InputError(
            f"{where} tells {outputs.probs.shape[1]} classes apart, the data set has {n_classes}: "
            "the cloud model must be trained for the same classes"
        )
    strange = outputs.pred[(outputs.pred < 0) | (outputs.pred >= n_classes)]
    if len(strange):
        raise InputError(
            f"{where} predicts class {strange[0]}: expected 0 .. {n_classes - 1}, the classes of "
            "the data set"
        )


def open_cloud(
    spec: str,
    dataset: Dataset,
    normalisation: Normalisation | None = None,
) -> CloudModel:
    """Open a cloud model by the path of its file.

    Args:
        spec: a path that ends in ``.onnx``, ``.pt`` or ``.npz``.
        dataset: what it will answer for.
        normalisation: of an ONNX model's float input: what it was trained with; -1 .. 1 by
            default. The others know their own.

    Raises:
        InputError: if the file is missing, of no such kind, or does not fit the data set.
    """
    # imported here: each kind brings a heavy dependency that the others can do without
    path = Path(spec).expanduser()
    suffix = path.suffix.lower()
    if suffix not in (".onnx", ".pt", ".npz"):
        raise InputError(f"{spec!r} is no cloud model that is understood: expected {UNDERSTOOD}")
    if not path.is_file():
        raise InputError(f"no cloud model at {spec!r}: expected {UNDERSTOOD}")
    if suffix == ".onnx":
        from hybrid_nas.data.onnx_cloud import OnnxCloud

        return OnnxCloud(
            path,
            n_classes=len(dataset.classes),
            channels=dataset.image_shape[2],
            normalisation=normalisation,
        )
    if normalisation not in (None, Normalisation()):
        raise InputError(
            f"{spec} is no ONNX model, so that its input needs no normalisation: leave it out"
        )
    if suffix == ".npz":
        from hybrid_nas.data.predictions_cloud import PredictionsCloud

        return PredictionsCloud(path, dataset)
    from hybrid_nas.supernet.cloud import open_supernet_cloud

    cloud = open_supernet_cloud(path)
    mend = "the cloud model must be trained for the same classes"
    check_class_names(cloud.classes, dataset, f"the cloud model {path.name}", mend)
    ours: CloudModel = cloud
    return ours


def softmax(logits: FloatArray) -> FloatArray:
    """Class probabilities (n, classes) of logits of the same shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return probs
