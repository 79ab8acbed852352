"""What all tests share: data beside the repository, Hypothesis settings, one thread per process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and NumPy are first imported

os.environ.pop("COLUMNS", None)  # pytest-xdist passes the terminal's on; output must not hang on it

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# No deadline and no complaint about slow examples: neither says anything about the code on a
# loaded machine. Continuous integration draws the same examples each time.
settings.register_profile(
    "hybrid-nas",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("hybrid-nas")


def shared_data(name: str) -> Path:
    """A file or folder of the data beside the repository; skips the test where it is absent."""
    path = _SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{name} beside the repository")
    return path


def pytest_runtest_setup() -> None:
    """Keep torch at one thread: pytest-xdist already has a process per core."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
