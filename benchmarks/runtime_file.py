"""Putting fitted constants into `runtimes.yaml` without touching what people wrote there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hybrid_nas.files import atomic_write
from hybrid_nas.hardware.runtimes import FitError

_RUNTIME = re.compile(r"  ([a-z0-9-]+):\s*$")
_SECTION = re.compile(r"    (sram|flash|fit):")
_FITTED = re.compile(r"(      (\w+): )\S+(\s+# fitted)$")


def update_runtimes(path: Path, results: dict[str, dict[str, Any]]) -> None:
    """Rewrite the lines marked ``# fitted`` and the ``fit`` section of every runtime."""
    lines: list[str] = []
    runtime = section = ""
    for line in path.read_text().splitlines():
        if match := _RUNTIME.match(line):
            runtime = match[1]
        if match := _SECTION.match(line):
            section = match[1]
            if section == "fit":
                lines += ["    fit:", *_fit_lines(results[runtime]["fit"])]
        if line.startswith("    ") and section == "fit":
            continue
        section = section if line.startswith("    ") else ""
        if match := _FITTED.match(line):
            value = results[runtime]["constants"][f"{section}.{match[2]}"]
            line = f"{match[1]}{value}{match[3]}"
        lines.append(line)
    atomic_write(path, "\n".join(lines) + "\n")


def _fit_lines(fits: dict[str, FitError]) -> list[str]:
    return [
        f"      {what}: {{mean: {e.mean:.4f}, worst: {e.worst:.4f}, bias: {e.bias:.4f}, "
        f"networks: {e.networks}}}"
        for what, e in fits.items()
    ]
