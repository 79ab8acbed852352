"""The verifying program on an emulated board, with a network that does what is known."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from hybrid_nas.errors import HybridNasError
from hybrid_nas.profiling.backend import DeviceLostError
from hybrid_nas.profiling.emulator import Emulator
from hybrid_nas.profiling.images import find_image
from hybrid_nas.profiling.link import Link, SocketLink
from hybrid_nas.verify.build import Program
from hybrid_nas.verify.device import Device
from hybrid_nas.verify.observe import run_plain
from tests.verify.conftest import BOARD

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def test_the_program_says_what_it_runs(device: Device, traced: Program) -> None:
    said = device.greeting
    assert (said.board, said.core, said.build) == (BOARD.id, "cortex-m7", traced.build)
    assert (said.traced, said.image_bytes, said.classes, said.ops) == (True, 105, 130, 12)
    assert said.timer_hz == said.clock_hz == 25_000_000


def test_results_come_back_as_the_network_gave_them(device: Device) -> None:
    for image in (IMAGE, 255 - IMAGE, np.zeros_like(IMAGE)):
        device.load(image)
        found, flat = device.run(), image.ravel()
        np.testing.assert_array_equal(found.scores[:105], flat.view(np.int8))
        assert (found.scores[105:] == -1).all()
        assert (found.class_index, found.sent) == (-int(flat[0]), bool(flat[1] & 1))
        assert found.send_score == np.float32(flat[2]) / 4


def test_operators_are_timed_and_their_outputs_checked(device: Device) -> None:
    device.load(IMAGE)
    traces, data = device.trace(), IMAGE.tobytes()
    assert [trace.crc for trace in traces] == [zlib.crc32(data[: i + 1]) for i in range(12)]
    assert all(trace.ticks < 100 for trace in traces[1:]) and traces[0].ticks > 1000
    np.testing.assert_array_equal(device.output(6, 7), IMAGE.ravel()[:7].view(np.int8))
    assert device.output(6, 8) is None  # not the size that the operator has


def test_memory_is_what_was_written_even_where_it_equals_a_pattern(device: Device) -> None:
    device.load(IMAGE)
    found = device.memory()
    assert (found.arena_bytes, found.arena_touched, found.arena_high) == (400, 102, 300)
    assert 256 <= found.stack_high < 400  # the array, and what the call itself needs
    assert found.variables_bytes == 40
    assert found.total == 300 + 40 + found.stack_high
    assert found.stack_bytes + found.bss_bytes + found.data_bytes <= 65536


def test_memory_is_measured_once_for_each_decision(device: Device) -> None:
    images = np.stack([IMAGE] * 3)
    images[:, 0, 0, 1] = [0, 2, 1]
    asked = []
    original = device.memory
    device.memory = lambda: asked.append(1) or original()  # type: ignore[method-assign]
    try:
        inferences, _ = run_plain(device, images, lambda number: None)
    finally:
        del device.memory
    assert [one.sent for one in inferences] == [False, False, True] and len(asked) == 2


class _Noisy(Link):
    """Damages a byte of every few lines, both ways."""

    def __init__(self, inner: SocketLink) -> None:
        super().__init__()
        self.name, self._inner, self._random = inner.name, inner, random.Random(1)
        self.damaged = 0

    def _garbled(self, data: bytes) -> bytes:
        if self._random.random() > 0.2 or len(data) < 12:
            return data
        self.damaged += 1
        at = self._random.randrange(len(data) - 1)
        return data[:at] + b"#" + data[at + 1 :]

    def _write(self, data: bytes) -> None:
        self._inner.send(self._garbled(data))

    def _read(self, wait: float) -> bytes:
        return self._garbled(self._inner._read(wait))

    def _close(self) -> None:
        self._inner.close()


def test_damaged_lines_are_repeated(device: Device, traced: Program) -> None:
    from dataclasses import replace

    emulator = Emulator(replace(find_image(BOARD.id), path=traced.path))
    try:
        link = emulator.start()
        assert isinstance(link, SocketLink)
        noisy = _Noisy(link)
        with_noise = Device(noisy)
        for shift in range(3):
            image = IMAGE + np.uint8(shift)
            with_noise.load(image)
            scores = with_noise.run().scores
            np.testing.assert_array_equal(scores[:105], image.ravel().view(np.int8))
        assert noisy.damaged > 2
    finally:
        emulator.close()


def test_an_image_of_another_size_is_refused(device: Device) -> None:
    with pytest.raises(HybridNasError, match="reads 105 bytes, the image has 12"):
        device.load(IMAGE[:1, :4])


def test_a_board_that_goes_away_is_told(traced: Program) -> None:
    from dataclasses import replace

    emulator = Emulator(replace(find_image(BOARD.id), path=traced.path))
    board = Device(emulator.start())
    emulator.close()
    with pytest.raises(DeviceLostError, match="the board is gone"):
        board.load(IMAGE)
