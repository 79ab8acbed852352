"""The device's outputs against the integer reference, operator by operator."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.int8_reference import int8_image, run_int8
from hybrid_nas.typing import BoolArray, ByteArray, Float32Array, IntArray
from hybrid_nas.verify.device import Inference, OpTrace
from hybrid_nas.verify.observe import Seen


@dataclass(frozen=True, eq=False)
class Reference:
    """What n images must give.

    Attributes:
        images: uint8 (n, h, w, c), as the network reads them.
        outputs: of each operator, int8 (n, h, w, c).
        send_score: float32 (n,); None without a router.
        sent: (n,); None without a router.
        labels: (n,), or None where nobody knows.
        first: the first operator that is looked at; those before it run patch by patch.
    """

    images: ByteArray
    outputs: Sequence[Int8Array]
    send_score: Float32Array | None = None
    sent: BoolArray | None = None
    labels: IntArray | None = None
    first: int = 0

    @classmethod
    def of(cls, graph: Int8Graph, images: ByteArray, labels: IntArray | None = None) -> Reference:
        """Run by the integer reference; without a router."""
        return cls(images, run_int8(graph, int8_image(images)), labels=labels)

    @property
    def scores(self) -> Int8Array:
        """Of the classes, int8 (n, classes)."""
        return self.outputs[-1].reshape(len(self.images), -1)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each operator's output."""
        return tuple(int(output[0].size) for output in self.outputs)

    def first_difference(self, image: int, trace: Sequence[OpTrace]) -> int | None:
        """The first operator whose output's CRC is another than here."""
        for op, (seen, output) in enumerate(zip(trace, self.outputs, strict=True)):
            if op >= self.first and seen.crc != zlib.crc32(output[image].tobytes()):
                return op
        return None


@dataclass(frozen=True)
class Difference:
    """Where an image first went another way.

    Attributes:
        image: its number.
        op: the operator; what comes after it differs because of it.
        elements: values that differ; None where the device could not tell its output.
        lsb: the largest difference, in steps of int8.
        where: (row, column, channel) of the first of them.
    """

    image: int
    op: int
    elements: int | None = None
    lsb: int | None = None
    where: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Agreement:
    """How far device and reference agree on n images.

    Attributes:
        images: how many.
        exact_ops: for each operator that is looked at, images whose output is the same to the bit.
        differences: where each other image first differs.
        exact_scores, same_class: images with the same scores, the same class.
        exact_send_scores, same_decisions: the same send score to the bit, the same decision; None
            without a router.
        sent: images that the device sends; None without a router.
        device_accuracy, reference_accuracy: of the classes, None where labels are not known.
    """

    images: int
    exact_ops: tuple[int, ...]
    differences: tuple[Difference, ...]
    exact_scores: int
    same_class: int
    exact_send_scores: int | None
    same_decisions: int | None
    sent: int | None
    device_accuracy: float | None
    reference_accuracy: float | None

    @property
    def exact(self) -> bool:
        """Whether everything agrees to the bit."""
        counts = [*self.exact_ops, self.exact_scores, self.same_class]
        counts += [n for n in (self.exact_send_scores, self.same_decisions) if n is not None]
        return all(count == self.images for count in counts)


def compare(reference: Reference, seen: Seen) -> Agreement:
    """Of everything that a device showed."""
    wanted, n = reference.scores, len(reference.images)
    found = np.stack([inference.scores for inference in seen.inferences])
    classes = np.array([inference.class_index for inference in seen.inferences])
    return Agreement(
        images=n,
        exact_ops=_exact_ops(reference, seen.traces),
        differences=_differences(reference, seen),
        exact_scores=int((found == wanted).all(1).sum()),
        same_class=int((classes == wanted.argmax(1)).sum()),
        exact_send_scores=_equal_bits(reference.send_score, seen.inferences),
        same_decisions=None
        if reference.sent is None
        else int((reference.sent == [one.sent for one in seen.inferences]).sum()),
        sent=None if reference.sent is None else sum(one.sent for one in seen.inferences),
        device_accuracy=_accuracy(classes, reference.labels),
        reference_accuracy=_accuracy(wanted.argmax(1), reference.labels),
    )


@dataclass(frozen=True)
class OutsideAgreement:
    """The device's scores against another runtime's, of the same images.

    Attributes:
        who: the runtime.
        exact: images with the same scores.
        same_class: images with the same class.
        most_lsb: the largest difference of a score.
    """

    who: str
    exact: int
    same_class: int
    most_lsb: int


def compare_outside(
    who: str, scores: Int8Array, inferences: Sequence[Inference]
) -> OutsideAgreement:
    """Scores (n, classes), int8 by the same scale and zero point, of another runtime."""
    found = np.stack([inference.scores for inference in inferences]).astype(int)
    off = np.abs(found - scores.astype(int))
    return OutsideAgreement(
        who,
        int((off == 0).all(1).sum()),
        int((found.argmax(1) == scores.argmax(1)).sum()),
        int(off.max()),
    )


def _exact_ops(reference: Reference, traces: Sequence[Sequence[OpTrace]]) -> tuple[int, ...]:
    counts = [0] * len(reference.outputs)
    for image, trace in enumerate(traces):
        for op, seen in enumerate(trace):
            wanted = zlib.crc32(reference.outputs[op][image].tobytes())
            counts[op] += seen.crc == wanted
    return tuple(counts[reference.first :])


def _differences(reference: Reference, seen: Seen) -> tuple[Difference, ...]:
    found = []
    for image, trace in enumerate(seen.traces):
        op = reference.first_difference(image, trace)
        if op is not None:
            found.append(_difference(image, op, reference, seen.outputs.get((image, op))))
    return tuple(found)


def _difference(image: int, op: int, reference: Reference, output: Int8Array | None) -> Difference:
    if output is None:
        return Difference(image, op)
    wanted = reference.outputs[op][image]
    off = np.abs(output.reshape(wanted.shape).astype(int) - wanted)
    if not off.any():  # the second run of it was right: the device is not steady
        return Difference(image, op, 0, 0)
    first = np.unravel_index(int(np.flatnonzero(off)[0]), off.shape)
    where = tuple(int(index) for index in first)
    return Difference(image, op, int(np.count_nonzero(off)), int(off.max()), where)


def _equal_bits(wanted: Float32Array | None, inferences: Sequence[Inference]) -> int | None:
    if wanted is None:
        return None
    found = np.array([inference.send_score for inference in inferences], np.float32)
    return int((found.view(np.uint32) == wanted.astype(np.float32).view(np.uint32)).sum())


def _accuracy(classes: IntArray, labels: IntArray | None) -> float | None:
    return None if labels is None else float((classes == labels).mean())
