"""Runs images on a device and notes what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hybrid_nas.errors import HybridNasError
from hybrid_nas.profiling.backend import DeviceLostError
from hybrid_nas.profiling.emulator import Emulator
from hybrid_nas.profiling.images import find_image
from hybrid_nas.profiling.link import open_port
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.typing import ByteArray
from hybrid_nas.verify.boards import VerifyBoard
from hybrid_nas.verify.build import Program
from hybrid_nas.verify.device import Device, Inference, MemoryUse, OpTrace

Wanted = Callable[[int, tuple[OpTrace, ...]], int | None]
"""Given an image's number and its trace, the operator whose output is worth fetching."""


Traces = tuple[tuple[OpTrace, ...], ...]
"""Of each image, each operator."""

Outputs = dict[tuple[int, int], Int8Array]
"""Outputs of operators, by image and operator."""


@dataclass(frozen=True)
class Unit:
    """What time is told in: ``instructions`` or ``ms``, so many of them in a tick."""

    name: str
    per_tick: float


@dataclass(frozen=True)
class Seen:
    """What a device showed of n images.

    Attributes:
        inferences: one for each image.
        traces: of a second run of each image.
        memory: the most of each over the images that were run on painted memory.
        outputs: of single operators that were asked for, by image and operator.
        unit: of ticks.
    """

    inferences: tuple[Inference, ...]
    traces: Traces
    memory: MemoryUse
    outputs: Outputs
    unit: Unit


def run_plain(
    device: Device, images: ByteArray, report: Callable[[int], None]
) -> tuple[tuple[Inference, ...], MemoryUse]:
    """Inferences of images (n, h, w, c), and memory.

    Memory does not depend on the image but through the router's decision: the first image is run on
    painted memory, and the first one that it decides otherwise on.
    """
    inferences: list[Inference] = []
    memory: list[MemoryUse] = []
    decisions: set[bool] = set()
    for number, image in enumerate(images):
        device.load(image)
        inferences.append(device.run())
        if inferences[-1].sent not in decisions:
            decisions.add(inferences[-1].sent)
            memory.append(device.memory())
        report(number)
    return tuple(inferences), _most(memory)


def run_traced(
    device: Device,
    images: ByteArray,
    sizes: tuple[int, ...],
    wanted: Wanted,
    report: Callable[[int], None],
) -> tuple[Traces, Outputs]:
    """Traces of images, and outputs of the operators that are `wanted`; `sizes` are their bytes."""
    traces: list[tuple[OpTrace, ...]] = []
    outputs: Outputs = {}
    for number, image in enumerate(images):
        device.load(image)
        traces.append(device.trace())
        op = wanted(number, traces[-1])
        if op is not None:
            found = device.output(op, sizes[op])
            if found is not None:
                outputs[number, op] = found
        report(number)
    return tuple(traces), outputs


@contextmanager
def emulated(board: VerifyBoard, program: Program) -> Iterator[tuple[Device, Unit]]:
    """An emulated board that runs a program.

    Raises:
        InputError: QEMU is not installed.
        DeviceLostError: it does not run the program.
    """
    image = find_image(board.id)
    emulator = Emulator(replace(image, path=program.path))
    try:
        device = Device(emulator.start())
        tick_ns = 1e9 / device.greeting.timer_hz
        yield device, Unit("instructions", tick_ns / 2**image.icount_shift)
    except DeviceLostError as error:
        emulator.close()
        said = f" ({emulator.complaint})" if emulator.complaint else ""
        raise DeviceLostError(f"{error}{said}") from error
    finally:
        emulator.close()


@contextmanager
def connected(port: str, board: VerifyBoard, program: Program) -> Iterator[tuple[Device, Unit]]:
    """A board on a serial port; its owner has flashed the program.

    Raises:
        InputError: there is no such port.
        DeviceLostError: nothing answers.
        HybridNasError: it runs another program.
    """
    device = Device(open_port(port))
    try:
        said = device.greeting
        if (said.board, said.build) != (board.id, program.build):
            raise HybridNasError(
                f"the board on {port} is {said.board} and runs build {said.build}, expected "
                f"{board.id} and {program.build}: flash {program.path} and try again"
            )
        yield device, Unit("ms", 1e3 / said.timer_hz)
    finally:
        device.close()


def _most(found: list[MemoryUse]) -> MemoryUse:
    return max(found, key=lambda memory: memory.total)
