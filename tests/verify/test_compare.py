"""Counting agreement: made-up devices that are right, or wrong in a known place."""

from __future__ import annotations

import zlib

import numpy as np

from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.verify.compare import Reference, compare, compare_outside
from hybrid_nas.verify.device import Inference, MemoryUse, OpTrace
from hybrid_nas.verify.observe import Seen, Unit

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 3, 3, 1)).astype(np.uint8)
OUTPUTS = [
    RANDOM.integers(-128, 128, shape).astype(np.int8)
    for shape in ((4, 3, 3, 5), (4, 2, 2, 3), (4, 1, 1, 6))
]
SCORES = OUTPUTS[-1].reshape(4, 6)
SEND = RANDOM.normal(size=4).astype(np.float32)
REFERENCE = Reference(IMAGES, OUTPUTS, SEND, SEND > 0, SCORES.argmax(1))


def seen(outputs: list[Int8Array], send: np.ndarray = SEND) -> Seen:
    """What a device that computed these outputs shows."""
    scores = outputs[-1].reshape(4, 6)
    return Seen(
        tuple(
            Inference(100, int(row.argmax()), bool(score > 0), score, row)
            for row, score in zip(scores, send, strict=True)
        ),
        tuple(
            tuple(OpTrace(10, zlib.crc32(output[image].tobytes())) for output in outputs)
            for image in range(4)
        ),
        MemoryUse(8, 8, 8, 64, 8, 0, 8),
        {(image, 1): outputs[1][image].ravel() for image in range(4)},
        Unit("instructions", 0.3125),
    )


def test_a_device_that_is_right_agrees() -> None:
    found = compare(REFERENCE, seen(OUTPUTS))
    assert found.exact and found.differences == ()
    assert found.exact_ops == (4, 4, 4)
    assert (found.exact_scores, found.same_class, found.same_decisions) == (4, 4, 4)
    assert found.sent == int((SEND > 0).sum())
    assert found.device_accuracy == found.reference_accuracy == 1.0


def test_a_wrong_operator_is_found_with_how_much_and_where() -> None:
    wrong = [output.copy() for output in OUTPUTS]
    wrong[1][2, 1, 0, 2] ^= 4  # image 2
    wrong[1][2, 1, 1, 0] ^= 1
    wrong[2][2, 0, 0, 0] ^= 64
    found = compare(REFERENCE, seen(wrong))
    assert not found.exact and found.exact_ops == (4, 3, 3) and found.exact_scores == 3
    (difference,) = found.differences
    assert (difference.image, difference.op) == (2, 1)
    assert (difference.elements, difference.lsb, difference.where) == (2, 4, (1, 0, 2))


def test_a_send_score_off_by_one_bit_counts() -> None:
    off = SEND.copy()
    off[3] = np.nextafter(off[3], np.float32(9))
    found = compare(REFERENCE, seen(OUTPUTS, off))
    assert (found.exact_send_scores, found.same_decisions, found.exact) == (3, 4, False)


def test_without_router_and_labels_nothing_is_said_of_them() -> None:
    found = compare(Reference(IMAGES, OUTPUTS), seen(OUTPUTS))
    assert found.exact and found.sent is found.same_decisions is found.device_accuracy is None


def test_another_runtime_is_compared_by_its_scores() -> None:
    other = SCORES.copy()
    other[1, 4] = np.clip(int(other[1, 4]) + (3 if other[1, 4] < 100 else -3), -128, 127)
    found = compare_outside("onnxruntime", other, seen(OUTPUTS).inferences)
    assert (found.who, found.exact, found.most_lsb) == ("onnxruntime", 3, 3)
