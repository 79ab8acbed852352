"""A cloud model in an ONNX file, run by onnxruntime on the CPU."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from hybrid_nas.data.cloud import CloudOutputs, check_classes, softmax
from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.data.normalisation import Normalisation
from hybrid_nas.data.resize import resize_images
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.onnx_errors import RUNTIME_ERRORS
from hybrid_nas.typing import ByteArray, FloatArray

OutputKind = Literal["auto", "logits", "probs"]

_BATCH = 64
_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_ROW_SUM_TOLERANCE = 0.05  # the rows of an 8-bit softmax sum to 0.99 or 1.01
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class _Input:
    """The model's image input; sides and batch are None where the model leaves them open."""

    name: str
    dtype: type[np.generic]
    channels_first: bool
    channels: int
    height: int | None
    width: int | None
    batch: int | None


class OnnxCloud:
    """A classifier in an ONNX file.

    The order of the input's axes (NCHW or NHWC), its size and its type are read from the model.
    Images are resized to a fixed input size; a uint8 input gets bytes, a float input gets them by
    `normalisation`. Grey images are repeated for a model of three channels, and coloured ones
    reduced to luma for a model of one.

    Args:
        path: the file; the files of weights that it names are found beside it.
        n_classes: what the output must tell apart.
        channels: of the images, which settles the axes of models that leave them open.
        normalisation: of a float input.
        outputs: whether the model ends in logits or probabilities; ``auto`` calls them
            probabilities if none is negative and all rows sum to about one.
        threads: of onnxruntime; 0 leaves it to it.

    Raises:
        InputError: if the file is no ONNX classifier of images with that many classes.
    """

    def __init__(
        self,
        path: Path,
        *,
        n_classes: int,
        channels: int,
        normalisation: Normalisation | None = None,
        outputs: OutputKind = "auto",
        threads: int = 0,
    ) -> None:
        self.name = path.name
        self.n_classes = n_classes
        self.normalisation = normalisation or Normalisation()
        self.outputs: OutputKind = outputs
        self._session = _open_session(path, threads)
        try:
            self._input = _read_input(path, self._session, channels)
            self._output = _read_output(path, self._session, n_classes)
            weights = _weights_digests(path)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is damaged: it has names that are not UTF-8") from error
        self.normalisation.check_channels(self._input.channels)
        recipe = [
            sha256_of_file(path),
            *(weights or [""]),
            repr((self.normalisation, outputs)),
        ]
        self.fingerprint = hashlib.sha256("\n".join(recipe).encode()).hexdigest()

    def predict(self, images: ImageSet) -> CloudOutputs:
        """Predicted classes and probabilities.

        Raises:
            InputError: if the model cannot be run on the images.
        """
        size = self._input.batch or _BATCH
        rows = [np.empty((0, self.n_classes))]
        for start in range(0, len(images), size):
            rows.append(self._run(images.images[start : start + size]))
        scores = np.concatenate(rows)
        if not np.isfinite(scores).all():
            raise InputError(
                f"{self.name} gives values that are not finite: its input may want "
                "another normalisation"
            )
        if self.outputs == "probs" or (self.outputs == "auto" and _are_probabilities(scores)):
            probs = scores / scores.sum(axis=1, keepdims=True)
        else:
            probs = softmax(scores)
        outputs = CloudOutputs(scores.argmax(axis=1), probs)
        check_classes(outputs, self.n_classes, self.name)
        return outputs

    def _run(self, images: ByteArray) -> FloatArray:
        """Scores (n, classes) of at most one batch."""
        fed = self._feed(images)
        lacking = (self._input.batch or len(fed)) - len(fed)
        if lacking:  # a model of fixed batch size: fill up, and drop the answers
            fed = np.concatenate([fed, np.repeat(fed[-1:], lacking, axis=0)])
        try:
            (raw,) = self._session.run([self._output], {self._input.name: fed})
        except RUNTIME_ERRORS as error:
            raise InputError(
                f"{self.name} cannot be run on images of {images.shape[1:]}: {_one_line(error)}"
            ) from error
        scores = np.asarray(raw, np.float64)
        scores = scores.reshape(len(scores), -1)[: len(images)]
        if len(scores) != len(images) or scores.shape[1] != self.n_classes:
            raise InputError(
                f"{self.name} answers {len(images)} images with shape {np.shape(raw)}: expected "
                f"{self.n_classes} classes, those of the data set, for each"
            )
        return scores

    def _feed(self, images: ByteArray) -> npt.NDArray[Any]:
        """The input tensor of some images."""
        wanted = self._input
        size = (wanted.height or images.shape[1], wanted.width or images.shape[2])
        pixels = match_channels(resize_images(images, size), wanted.channels, self.name)
        if wanted.channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        if wanted.dtype is np.uint8:
            return np.ascontiguousarray(pixels)
        shape = (1, -1, 1, 1) if wanted.channels_first else (1, 1, 1, -1)
        mean = np.array(self.normalisation.mean, np.float32).reshape(shape)
        std = np.array(self.normalisation.std, np.float32).reshape(shape)
        return np.ascontiguousarray((pixels / np.float32(255) - mean) / std, dtype=wanted.dtype)


def match_channels(images: ByteArray, channels: int, where: str) -> ByteArray:
    """Repeat grey for three channels, reduce red-green-blue to luma for one, or refuse."""
    have = images.shape[3]
    if have == channels:
        return images
    if have == 1 and channels == 3:
        return np.repeat(images, 3, axis=3)
    if have == 3 and channels == 1:
        return (images @ _LUMA + np.float32(0.5)).astype(np.uint8)[..., None]
    raise InputError(f"{where} takes images of {channels} channels, the data set has {have}")


def _are_probabilities(scores: FloatArray) -> bool:
    return bool((scores >= 0).all() and (abs(scores.sum(axis=1) - 1) <= _ROW_SUM_TOLERANCE).all())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors come as exceptions; nothing on the terminal
    try:
        return onnxruntime.InferenceSession(
            str(path),
            sess_options=options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it prints on standard output, and there is nothing to fall back to
        )
    except RUNTIME_ERRORS as error:
        raise InputError(f"{path} cannot be read as an ONNX model: {_one_line(error)}") from error


def _weights_digests(path: Path) -> list[str]:
    """Of the files beside a model that hold its weights, in order of their names."""
    model = onnx.load(path, load_external_data=False)
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [sha256_of_file(path.parent / name) for name in sorted(names)]


def _read_input(path: Path, session: onnxruntime.InferenceSession, channels: int) -> _Input:
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        got = ", ".join(f"{node.name} {node.shape}" for node in inputs)
        raise InputError(
            f"{path} has the inputs {got}: expected one, of shape (n, channels, height, width) or "
            "(n, height, width, channels)"
        )
    node = inputs[0]
    if node.type not in _DTYPES:
        raise InputError(
            f"{path} has an input of {node.type}: expected float or uint8 (quantised models too "
            "take float at their outermost input)"
        )
    # open axes are names or None
    batch, first, second, third = (side if isinstance(side, int) else None for side in node.shape)
    channels_first = _channels_first(path, (first, second, third), channels)
    height, width = (second, third) if channels_first else (first, second)
    stated = first if channels_first else third
    return _Input(
        name=node.name,
        dtype=_DTYPES[node.type],
        channels_first=channels_first,
        channels=stated or channels,
        height=height,
        width=width,
        batch=batch,
    )


def _channels_first(
    path: Path, sides: tuple[int | None, int | None, int | None], channels: int
) -> bool:
    """Whether the input is NCHW; where both orders fit it is taken as that, the common one."""
    for likely in ({channels}, {1, 3}):
        if sides[0] in likely:
            return True
        if sides[2] in likely:
            return False
    if sides[0] is None:
        return True
    if sides[2] is None:
        return False
    raise InputError(
        f"{path} takes inputs of {sides[0]}x{sides[1]}x{sides[2]}, of which neither the first nor "
        f"the last can be the {channels} channels of the data set"
    )


def _read_output(path: Path, session: onnxruntime.InferenceSession, n_classes: int) -> str:
    """The output with one score per class: the first whose last fixed sides multiply to that."""
    open_ones: list[str] = []
    stated: list[str] = []
    for node in session.get_outputs():
        if node.type not in ("tensor(float)", "tensor(float16)", "tensor(double)"):
            continue
        sides = node.shape[1:]
        if all(isinstance(side, int) for side in sides):
            if sides and int(np.prod(sides)) == n_classes:
                return str(node.name)
            stated.append("x".join(str(side) for side in sides) or "no")
        else:
            open_ones.append(str(node.name))
    if open_ones:
        return open_ones[0]
    raise InputError(
        f"{path} has outputs of {', '.join(stated) or 'no float'} values per image: expected "
        f"{n_classes}, the classes of the data set"
    )
