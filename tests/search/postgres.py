"""A PostgreSQL server of the test's own, from Debian's packages."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """Folder of ``initdb`` and ``pg_ctl``; the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _version(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.parts[-3])) or 0)


def why_not() -> str | None:
    """Why no server can be started here; None if one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'"
    return None


def _user() -> str | None:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@contextmanager
def server() -> Iterator[str]:
    """URL of a database on a fresh server that listens on a socket in a temporary folder only."""
    tools = binaries()
    assert tools is not None
    as_user = _user() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="hnas-pg-", dir="/tmp"))  # socket paths must be short
    if as_user is not None:
        shutil.chown(folder, as_user)

    def call(*command: object) -> None:
        subprocess.run(
            [str(part) for part in command],
            check=True,
            user=as_user,
            cwd=folder,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )

    data = folder / "data"
    control = (tools / "pg_ctl", "-D", data, "-w", "-t", 60)
    try:
        call(tools / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "-N")
        options = f"-c listen_addresses='' -c fsync=off -k {folder}"
        call(*control, "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            call(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
