"""Threads of the numeric libraries, set deliberately and before they are loaded.

On a loaded machine OpenMP's spinning workers starve each other: torch with two threads on two busy
cores was measured 20 times slower than with one. Passive waiting costs nothing on an idle machine
and removes that cliff, so it is the default of this program. What the user has set stays.
"""

from __future__ import annotations

import os

_PASSIVE = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's matrices here are small: a second thread only waits
}


def wait_passively() -> None:
    """Ask OpenMP runtimes that are loaded from now on not to spin; call before importing torch."""
    for name, value in _PASSIVE.items():
        os.environ.setdefault(name, value)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
