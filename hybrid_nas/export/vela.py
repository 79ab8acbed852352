"""Arm's estimates for Ethos-U: the compiler Vela run on an exported file, its summary read.

Vela is optional (``pip install ethos-u-vela``). Its figures are those of a model, not measured.
"""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hybrid_nas.errors import HybridNasError, InputError

MODULE = "ethosu.vela"
DEFAULT_ACCELERATOR = "ethos-u55-128"
_TIMEOUT_S = 600
_KIB = 1024


@dataclass(frozen=True)
class VelaEstimate:
    """What Vela says of a network.

    Attributes:
        accelerator, system, memory_mode: what it assumed.
        clock_hz: of the accelerator.
        sram_bytes: tensors and buffers in SRAM.
        flash_bytes: compressed weights and commands, on-chip and off-chip flash together.
        macs: of the network, as Vela counts them.
        npu_cycles: of arithmetic alone.
        cycles: with waiting for memory.
        inference_ms: `cycles` at `clock_hz`.
    """

    accelerator: str
    system: str
    memory_mode: str
    clock_hz: float
    sram_bytes: int
    flash_bytes: int
    macs: int
    npu_cycles: int
    cycles: int
    inference_ms: float


def vela_installed() -> bool:
    """Whether Vela can be run here."""
    try:
        return importlib.util.find_spec(MODULE) is not None
    except ModuleNotFoundError:
        return False


def vela_estimate(
    path: Path,
    accelerator: str = DEFAULT_ACCELERATOR,
    *,
    system: str | None = None,
    memory_mode: str | None = None,
) -> VelaEstimate:
    """Compile a TFLite file for an Ethos-U and read the summary.

    Args:
        path: an int8 TFLite file.
        accelerator: ``ethos-u55-128`` and the like.
        system, memory_mode: of Vela's configuration file; its defaults for the accelerator.

    Raises:
        InputError: Vela is not installed.
        HybridNasError: it fails, or its summary cannot be read.
    """
    if not vela_installed():
        raise InputError("Vela is not installed: pip install ethos-u-vela")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", MODULE, str(path), "--output-dir", folder]
        command += ["--accelerator-config", accelerator]
        if system is not None:
            command += ["--system-config", system]
        if memory_mode is not None:
            command += ["--memory-mode", memory_mode]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HybridNasError(f"Vela does not run on {path.name}: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise HybridNasError(f"Vela fails on {path.name}: {said[-1]}")
        summaries = sorted(Path(folder).glob("*_summary_*.csv"))
        if not summaries:
            raise HybridNasError(f"Vela wrote no summary of {path.name}")
        return read_summary(summaries[0].read_text(encoding="utf-8"))


def read_summary(text: str) -> VelaEstimate:
    """The last network of Vela's summary CSV; memory is in KiB there, time in seconds.

    Raises:
        HybridNasError: a column is missing or no number.
    """
    rows = list(csv.DictReader(text.splitlines()))
    if not rows:
        raise HybridNasError("Vela's summary has no row")
    row = rows[-1]
    try:
        flash = float(row["on_chip_flash_memory_used"]) + float(row["off_chip_flash_memory_used"])
        return VelaEstimate(
            accelerator=row["accelerator_configuration"],
            system=row["system_config"],
            memory_mode=row["memory_mode"],
            clock_hz=float(row["core_clock"]),
            sram_bytes=round(float(row["sram_memory_used"]) * _KIB),
            flash_bytes=round(flash * _KIB),
            macs=round(float(row["nn_macs"])),
            npu_cycles=round(float(row["cycles_npu"])),
            cycles=round(float(row["cycles_total"])),
            inference_ms=1000 * float(row["inference_time"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HybridNasError(f"Vela's summary is not as expected: {error}") from error
