"""Memory and time of the default search, as a user starts it.

    python benchmarks/memory.py [--trials 150] [--jobs 1] [--search-args ...]

Peak resident memory of the search's process and all that it starts, added up every 0.1 s (Linux).
Pages that processes share count in each, so with several jobs the sum is an upper bound. The bar is
2 GB.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAR_BYTES = 2 * 10**9
_PAUSE_S = 0.1


def family(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            parents[int(entry.name)] = int(fields[1])
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def resident_bytes(process: int) -> int:
    """Memory of a process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def measured(command: list[str]) -> tuple[int, float, int]:
    """Most resident bytes, seconds, and exit status of a command."""
    begun, most = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as started:
        while started.poll() is None:
            most = max(most, sum(map(resident_bytes, family(started.pid))))
            time.sleep(_PAUSE_S)
    return most, time.perf_counter() - begun, started.returncode


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--search-args", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-m", "hybrid_nas", "search", "--sram", "320KB", "--flash", "1MB"]
    command += ["--trials", str(arguments.trials), "--jobs", str(arguments.jobs)]
    command += ["--run", str(folder / "run"), *arguments.search_args]
    try:
        most, took, status = measured(command)
    finally:
        shutil.rmtree(folder)
    print(
        f"{arguments.trials} trials, {arguments.jobs} job(s): peak {most / 1e9:.2f} GB resident "
        f"(bar {BAR_BYTES / 1e9:g} GB), {took:.0f} s, exit status {status}"
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
