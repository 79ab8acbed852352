"""Emulated boards: QEMU started, killed, restarted, and what it counts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.profiling import reference
from hybrid_nas.profiling.backend import Backend, DeviceLostError, Refused, Timed
from hybrid_nas.profiling.emulator import QEMU, EmulatedBoard, Emulator, open_emulator
from hybrid_nas.profiling.images import find_image, images
from hybrid_nas.profiling.session import Patience
from hybrid_nas.spaces.opspec import OpSpec
from tests.profiling.backend_contract import BackendContract
from tests.profiling.test_layout import chain

QUICK = Patience(hello_s=0.02, hello_tries=3, reopen_s=0.02)
SMALL = [
    OpSpec("conv", 8, 8, 8, 16, activation="relu6"),
    OpSpec("conv", 9, 9, 3, 8, kernel=3, stride=2, padding=1),
    OpSpec("dwconv", 8, 8, 12, 12, kernel=5, padding=2, activation="relu"),
    OpSpec("dense", 1, 1, 40, 10),
    OpSpec("add", 5, 5, 7, 7, residual=2),
    OpSpec("avgpool", 7, 7, 9, 9, kernel=0),
]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


# --- without QEMU: a script in its place ----------------------------------------------------------


def put_qemu(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `script` be what is started as QEMU."""
    path = folder / QEMU
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_without_qemu_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="apt install qemu-system-arm"):
        Emulator(find_image("emulated-cortex-m7"))


def test_an_unknown_board_is_the_users_mistake() -> None:
    with pytest.raises(InputError, match=r"emulated-cortex-m9.*emulated-cortex-m7"):
        open_emulator("emulated-cortex-m9")


def test_what_qemu_complains_of_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_qemu(tmp_path, "echo 'qemu: warning: a nic' >&2; echo 'no such machine' >&2", monkeypatch)
    with pytest.raises(DeviceLostError, match="no such machine"):
        EmulatedBoard("emulated-cortex-m7", patience=QUICK)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
def test_closing_kills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_qemu(tmp_path, 'echo "$$"; exec sleep 1000', monkeypatch)
    emulator = Emulator(find_image("emulated-cortex-m7"))
    first = int(emulator.start().receive(time.monotonic() + 10) or 0)
    assert alive(first)
    second = int(emulator.start().receive(time.monotonic() + 10) or 0)
    assert gone(first) and alive(second)
    emulator.close()
    emulator.close()
    assert gone(second)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: signal.Signals
) -> None:
    put_qemu(tmp_path, 'echo "$$"; exec sleep 1000', monkeypatch)
    program = (
        "import os, time\n"
        "from hybrid_nas.profiling.emulator import Emulator\n"
        "from hybrid_nas.profiling.images import find_image\n"
        "emulator = Emulator(find_image('emulated-cortex-m7'))\n"
        "print(emulator.start().receive(time.monotonic() + 10).decode(), flush=True)\n"
        f"os.kill(os.getpid(), {int(death)})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=False, timeout=60
    )
    assert done.returncode == -death
    assert gone(int(done.stdout))


# --- with QEMU ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=sorted(images()))
def board(request: pytest.FixtureRequest) -> Iterator[EmulatedBoard]:
    require_qemu()
    with open_emulator(request.param) as backend:
        yield backend


def require_qemu() -> None:
    """Skip where QEMU is missing."""
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed")


def test_the_board_is_the_one_asked_for(board: EmulatedBoard) -> None:
    identity = board.identity
    assert identity.board in images()
    assert identity.board.endswith(identity.core.removeprefix("cortex"))
    assert (identity.runtime, identity.unit, board.kind) == ("hnas-c", "instructions", "emulated")


def test_small_operators_are_computed_rightly_and_counted_the_same_twice(
    board: EmulatedBoard,
) -> None:
    first = list(board.measure(SMALL))
    assert all(isinstance(answer, Timed) for answer in first), first
    assert list(board.measure(SMALL)) == first
    counts = {a.op.op: a.measurement.value for a in first if isinstance(a, Timed)}
    assert all(value > 100 for value in counts.values())


def test_a_network_is_computed_rightly_and_takes_about_the_sum(board: EmulatedBoard) -> None:
    ops = chain(12)
    total = board.measure_network(ops).value
    rows = [answer.measurement.value for answer in board.measure(ops) if isinstance(answer, Timed)]
    assert len(rows) == len(ops)
    assert total == pytest.approx(sum(rows), rel=0.1)


def test_what_is_too_large_is_refused(board: EmulatedBoard) -> None:
    (answer,) = board.measure([OpSpec("conv", 2000, 2000, 64, 64)])
    assert isinstance(answer, Refused) and "too large" in answer.reason


def test_a_wrong_output_would_be_noticed() -> None:
    require_qemu()
    with open_emulator(
        "emulated-cortex-m7", expected_crc=lambda op: reference.output_crc(op) ^ 1
    ) as doubter:
        (answer,) = doubter.measure(SMALL[:1])
    assert isinstance(answer, Refused) and "wrong result" in answer.reason


def test_after_a_crash_it_is_started_again() -> None:
    require_qemu()
    with open_emulator("emulated-cortex-m7") as backend:
        first = list(backend.measure(SMALL[:2]))
        guard = backend._emulator._guard
        assert guard is not None
        os.killpg(guard.pid, signal.SIGKILL)
        assert list(backend.measure(SMALL[:2])) == first
        assert backend._session.restarts == 1


@pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")
class TestEmulatedBoard(BackendContract):
    unsupported = (OpSpec("mul", 6, 6, 8, 8, bias=False, residual=1),)

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        with open_emulator("emulated-cortex-m7") as backend:
            yield backend
