"""Latencies and energies submitted to MLPerf Tiny, by board, runtime and version.

The results table names systems as their submitters did. What a row belongs to (board, core, clock,
runtime, version) is read from its columns where they are filled in, and from the system's name
where they are not. Rows that were not computed by a Cortex-M core that is emulated are left out
with the reason.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

NETWORKS = ("vww", "kws", "ic")
DENSE_NETWORK = "ad"
EMULATED_CORES = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")

_SYSTEMS = (
    ("h7a3", "stm32h7a3", "cortex-m7", 280_000_000),
    ("l4r5", "stm32l4r5", "cortex-m4", 120_000_000),
    # the same core, clock and memories as the STM32U585
    ("u57|u58", "stm32u585", "cortex-m33", 160_000_000),
    ("f746", "stm32f746", "cortex-m7", 216_000_000),
    ("nrf5340", "nrf5340", "cortex-m33", 128_000_000),
    ("cy8cproto", "psoc62", "cortex-m4", 150_000_000),
    ("ra6m4", "ra6m4", "cortex-m33", 200_000_000),
)
"""Part of a system's name; our board's id, core and clock where the columns are empty."""


@dataclass(frozen=True)
class Submission:
    """One system's figures.

    Attributes:
        board, core, clock_hz, runtime, version: what they belong to.
        source: who measured them.
        ms, uj: latency and energy of an inference, by network.
    """

    board: str
    core: str
    clock_hz: int
    runtime: str
    version: str
    source: str
    ms: dict[str, float] = field(default_factory=dict)
    uj: dict[str, float] = field(default_factory=dict)

    @property
    def cycles(self) -> dict[str, float]:
        """Cycles of an inference, by network."""
        return {name: ms * self.clock_hz / 1e3 for name, ms in self.ms.items()}


def read_submissions(path: Path) -> tuple[list[Submission], dict[str, str]]:
    """Submissions with all of `NETWORKS`, and why others are left out, by system."""
    with path.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["division"] == "closed"]
    systems: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        systems.setdefault((row["version"], row["org"], row["system"]), []).append(row)
    found, left_out = [], {}
    for (version, org, system), group in systems.items():
        name = f"v{version} {org} {system}"
        result = _submission(group)
        if isinstance(result, Submission):
            found.append(result)
        else:
            left_out[name] = result
    return found, left_out


def _submission(group: list[dict[str, str]]) -> Submission | str:
    """The figures of one system, or why they are of no use here."""
    row = group[0]
    if row["accelerator"]:
        return f"computed by an accelerator ({row['accelerator']})"
    board, core, clock_hz = _board(row)
    if core not in EMULATED_CORES or not clock_hz:
        return f"core {core or row['cpu'] or 'not stated'}: not emulated"
    ms = {one["task"]: float(one["latency_ms"]) for one in group if one["latency_ms"]}
    missing = [name for name in NETWORKS if name not in ms]
    if missing:
        return f"no latency of {', '.join(missing)}"
    uj = {one["task"]: float(one["energy_uJ_per_inf"]) for one in group if one["energy_uJ_per_inf"]}
    runtime, version = _runtime(row)
    source = f"MLPerf Tiny v{row['version']}, {row['org']}, {row['system']}"
    return Submission(board, core, clock_hz, runtime, version, source, ms, uj)


def _board(row: dict[str, str]) -> tuple[str, str, int]:
    core = re.search(r"cortex\W*-?(m\d+\+?)(?!\w)", row["cpu"].lower().replace("m4f", "m4"))
    clock = re.match(r"([\d.]+)\s*mhz", row["cpu_freq"].lower())
    said = f"cortex-{core[1]}" if core else "", round(float(clock[1]) * 1e6) if clock else 0
    for part, board, known_core, known_hz in _SYSTEMS:
        if re.search(part, row["system"].lower()):
            return board, said[0] or known_core, said[1] or known_hz
    return _slug(row["system"]), *said


def _runtime(row: dict[str, str]) -> tuple[str, str]:
    """Id of the runtime and its version; where none is stated, it is that of the submission."""
    said = f"{row['system']} {row['framework']}"
    version = f"as submitted to MLPerf Tiny v{row['version']}"
    number = re.search(r"(?:AI[- ]v?|version |Engine )(\d+(?:\.\d+)+)", said)
    if number:
        version = number[1]
    low = said.lower()
    if row["org"] == "STMicroelectronics" or "x-cube-ai" in low:
        return "x-cube-ai", f"{version}.0" if re.fullmatch(r"\d+\.\d+", version) else version
    if "microtvm" in low:
        return "microtvm-cmsis-nn" if "cmsis" in low else "microtvm", version
    if row["org"] == "reference":
        return "tflm", version
    for part, runtime in _RUNTIMES:
        if part in low or part == row["org"]:
            return runtime, version
    return _slug(row["org"]), version


_RUNTIMES: Iterable[tuple[str, str]] = (
    ("plumerai", "plumerai"),
    ("lowering engine", "hale"),
    ("mbed_os", "onnc-mbed-os"),
    ("zephyr", "onnc-zephyr"),
)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
