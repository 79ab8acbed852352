"""The stand-in network, compiled once; skipped where there is no compiler or emulator."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_nas.profiling.emulator import QEMU
from hybrid_nas.verify.boards import load_verify_board
from hybrid_nas.verify.build import Program, Project, build_program
from hybrid_nas.verify.compiler import PREFIX
from hybrid_nas.verify.device import Device
from hybrid_nas.verify.observe import emulated

TOY = Path(__file__).parent / "toy"
BOARD = load_verify_board("emulated-cortex-m7")

needs_compiler = pytest.mark.skipif(not shutil.which(f"{PREFIX}gcc"), reason=f"needs {PREFIX}gcc")
needs_qemu = pytest.mark.skipif(not shutil.which(QEMU), reason=f"needs {QEMU}")


@pytest.fixture(scope="session")
def toy() -> Project:
    if not shutil.which(f"{PREFIX}gcc"):
        pytest.skip(f"needs {PREFIX}gcc")
    return Project((TOY / "toy.c",), (TOY,))


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, so that objects are compiled once."""
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(scope="session")
def traced(toy: Project, builds: Path) -> Program:
    return build_program(toy, BOARD, builds, traced=True, sram_bytes=65536, flash_bytes=65536)


@pytest.fixture(scope="module")
def device(traced: Program) -> Iterator[Device]:
    if not shutil.which(QEMU):
        pytest.skip(f"needs {QEMU}")
    with emulated(BOARD, traced) as (found, _):
        yield found
