"""From a pair to its verification: write the C project, build it, run it, compare."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.project import write_c_project
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.hardware.latency_files import table_for
from hybrid_nas.hardware.patch_regions import first_whole
from hybrid_nas.hardware.patches import STACK_BYTES
from hybrid_nas.typing import ByteArray, Float32Array, IntArray
from hybrid_nas.verify.boards import VerifyBoard, load_verify_board
from hybrid_nas.verify.build import NETWORK_STACK_BYTES, Program, Project, build_program
from hybrid_nas.verify.compare import Reference, compare, compare_outside
from hybrid_nas.verify.compiler import Compiler
from hybrid_nas.verify.device import Device
from hybrid_nas.verify.observe import (
    Outputs,
    Seen,
    Traces,
    Unit,
    connected,
    emulated,
    run_plain,
    run_traced,
)
from hybrid_nas.verify.outside import Outside
from hybrid_nas.verify.predict import RUNTIME, predict
from hybrid_nas.verify.report import Verification

Report = Callable[[int, int, str], None]
"""Called with images done, their number in all, and the state in words."""


def check_device(board_id: str, port: str | None) -> VerifyBoard:
    """The board that flags name.

    Raises:
        InputError: no such board, a real one without a port, an emulated one with one.
    """
    board = load_verify_board(board_id)
    if port is None and not board.emulated:
        raise InputError(
            f"board {board.id} is a real one: give its --port, for example --port /dev/ttyACM0"
        )
    if port is not None and board.emulated:
        raise InputError(
            f"--port {port} is for a real board, and --board {board.id} is emulated: name the board"
        )
    return board


@dataclass(frozen=True)
class VerifyJob:
    """What to verify, and on what.

    Attributes:
        network: the pair.
        board: where it is run.
        out: folder for the C project and the programs.
        port: serial port of a real board; an emulated one needs none.
        sram_bytes, flash_bytes: what the pair may take; the board's sizes by default.
        images_from: where images are from, in words.
    """

    network: CNetwork
    board: VerifyBoard
    out: Path
    port: str | None = None
    sram_bytes: int | None = None
    flash_bytes: int | None = None
    images_from: str = ""

    def __post_init__(self) -> None:
        check_device(self.board.id, self.port)

    def build(self) -> tuple[Program, Program]:
        """The plain and the traced program.

        Raises:
            DoesNotFitError: the pair is too large for the board.
            InputError: no compiler.
        """
        written = write_c_project(self.network, self.out / "project")
        stack_bytes = NETWORK_STACK_BYTES + (STACK_BYTES if self.network.patches else 0)
        project = Project(written.sources, (written.include,), stack_bytes)
        plain, traced = (
            build_program(
                project,
                self.board,
                self.out,
                traced=traced,
                sram_bytes=self.sram_bytes,
                flash_bytes=self.flash_bytes,
            )
            for traced in (False, True)
        )
        return plain, traced

    def run(
        self,
        images: ByteArray,
        labels: IntArray | None = None,
        outside: Outside = (),
        report: Report = lambda done, total, state: None,
    ) -> Verification:
        """Verify on images.

        Args:
            images: uint8 (n, h, w, c), as the network reads them.
            labels: their classes, if known.
            outside: other runtimes' names and int8 scores (n, classes) of the same images.
            report: told what is being done.

        Raises:
            DoesNotFitError: the pair is too large for the board.
            InputError: no compiler, no QEMU, no port.
            HybridNasError: the board runs something else, or fails.
        """
        report(0, 2 * len(images), f"building for {self.board.id}")
        plain, traced = self.build()
        reference = self._reference(images, labels)
        seen = self._observe(plain, traced, reference, report)
        table = table_for(self.board.id, RUNTIME, None)
        memories = self.board.memories(self.sram_bytes, self.flash_bytes)
        ticks = np.array([[op.ticks for op in trace] for trace in seen.traces], float)
        total = np.mean([inference.ticks for inference in seen.inferences])
        return Verification(
            network=self.network.name,
            board=self.board.id,
            sram_limit_bytes=memories[1].bytes,
            flash_limit_bytes=memories[0].bytes,
            compiler=f"arm-none-eabi-gcc {Compiler.find().version}",
            build=plain.build,
            table=table,
            prediction=predict(self.network, table, seen.unit.name),
            memory=seen.memory,
            flash=plain.flash,
            unit=seen.unit,
            total=float(total) * seen.unit.per_tick,
            specs=tuple(self.network.graph.specs),
            op_times=tuple((ticks.mean(0)[reference.first :] * seen.unit.per_tick).tolist()),
            patches=self.network.patches,
            images_from=self.images_from,
            agreement=compare(reference, seen),
            outside=tuple(compare_outside(who, scores, seen.inferences) for who, scores in outside),
        )

    def _reference(self, images: ByteArray, labels: IntArray | None) -> Reference:
        graph, router = self.network.graph, self.network.router
        first = first_whole(self.network.patches)
        found = replace(Reference.of(graph, images, labels), first=first)
        if router is None:
            return found
        score = _send_score(self.network, router, found)
        threshold = np.float32(router.thresholds[self.network.start_coverage])
        return replace(found, send_score=score, sent=score > threshold)

    def _observe(
        self, plain: Program, traced: Program, reference: Reference, report: Report
    ) -> Seen:
        """An emulated board runs both programs; a real one was flashed with the traced one."""
        images = reference.images

        def told(what: str, before: int = 0) -> Callable[[int], None]:
            return lambda number: report(before + number + 1, 2 * len(images), what)

        def look(device: Device) -> tuple[Traces, Outputs]:
            wanted, each = reference.first_difference, told("each operator", len(images))
            return run_traced(device, images, reference.sizes, wanted, each)

        one_program = self.port is not None
        with self._open(traced if one_program else plain) as (device, unit):
            inferences, memory = run_plain(device, images, told("whole inferences"))
            seen = look(device) if one_program else None
        if seen is None:
            with self._open(traced) as (device, _):
                seen = look(device)
        traces, outputs = seen
        return Seen(inferences, traces, memory, outputs, unit)

    def _open(self, program: Program) -> AbstractContextManager[tuple[Device, Unit]]:
        if self.port is None:
            return emulated(self.board, program)
        return connected(self.port, self.board, program)


def _send_score(network: CNetwork, router: DeviceRouter, found: Reference) -> Float32Array:
    """By the device's arithmetic, float32 (n,)."""
    n = len(found.images)
    features = found.outputs[network.graph.features_index].reshape(n, -1)
    stage = None if network.stage is None else found.outputs[network.stage]
    return router.send_score(found.scores, features, stage)
