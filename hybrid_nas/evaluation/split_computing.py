"""Split computing: the first stages on the device, their features sent, the rest in the cloud.

Neurosurgeon (Kang et al., ASPLOS 2017). The network is the base itself, so accuracy is the base's
at every cut; what changes is the time on the device and the bytes over the link, for every image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hybrid_nas.evaluation.stages import cuts, milliseconds
from hybrid_nas.evaluation.subject import Subject
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.search.settings import SearchSettings


@dataclass(frozen=True)
class SplitPoint:
    """One way to divide the base.

    Attributes:
        block: the last block on the device; -1 sends the image.
        shape: (height, width, channels) of what is sent.
        sent_bytes: its int8 bytes; of the image, the bytes that the run's queries send.
        image_share: those over the image's.
        device_ms: up to the cut; None without a latency table.
        uplink_ms: *estimated*: the mean wait by the run's uplink model, timeouts included; for
            an uplink of a fixed time, that time in proportion to the bytes.
    """

    block: int
    shape: tuple[int, int, int]
    sent_bytes: int
    image_share: float
    device_ms: float | None
    uplink_ms: float


def split_points(subject: Subject) -> list[SplitPoint]:
    """Every cut behind a block, the image first."""
    architecture, setup = subject.base.architecture, subject.pair.setup
    image_bytes = setup.settings.uplink_bytes or query_bytes(
        UplinkImage.parse(setup.settings.uplink_image), architecture.input_shape
    )
    uplink_ms = uplink_time(setup.settings, image_bytes)
    elapsed = None
    if setup.table is not None:
        model = LatencyModel(setup.table)
        elapsed = np.append(0.0, np.cumsum(milliseconds(architecture.ops, model)))

    def point(block: int, op: int, shape: tuple[int, int, int], sent: int) -> SplitPoint:
        device_ms = None if elapsed is None else float(elapsed[op + 1])
        return SplitPoint(block, shape, sent, sent / image_bytes, device_ms, uplink_ms(sent))

    image = point(-1, -1, architecture.input_shape, image_bytes)
    rest = [point(cut.block, cut.op, cut.shape, cut.tensor_bytes) for cut in cuts(architecture)]
    return [image, *rest]


def uplink_time(settings: SearchSettings, image_bytes: int) -> Callable[[int], float]:
    """Milliseconds that so many bytes take, as the run's queries are priced."""
    query = settings.query
    if settings.uplink is None or query is None:
        return lambda sent: settings.uplink_ms * sent / image_bytes
    return lambda sent: replace(query, payload_bytes=sent, cloud_ms=0.0).mean_ms


def query_bytes(uplink: UplinkImage, input_shape: tuple[int, int, int]) -> int:
    """Bytes that a query sends: the picture kept for it, or the network's input."""
    return uplink.extra_bytes or int(np.prod(input_shape))
