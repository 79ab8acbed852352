"""Fetching the supernets that the Once-for-All project published, with `ofa`'s own functions.

Only the transport is theirs: files are read by `hybrid_nas.supernet.checkpoint`, tensors only.
`ofa` leaves a partial file behind when a download breaks off and takes it for whole the next time,
so each download has a folder of its own until it has been read once.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.supernet.checkpoint import read_tensors
from hybrid_nas.supernet.ofa_import import download_url

_FILES = "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/"
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Published:
    """A published supernet: its search space here, and where its weights are."""

    space: str
    url: str


PUBLISHED: dict[str, Published] = {
    "ofa_mbv3_d234_e346_k357_w1.0": Published(
        "ofa-mbv3-w1.0", f"{_FILES}ofa_mbv3_d234_e346_k357_w1.0"
    ),
    "ofa_mbv3_d234_e346_k357_w1.2": Published(
        "ofa-mbv3-w1.2", f"{_FILES}ofa_mbv3_d234_e346_k357_w1.2"
    ),
    "ofa_proxyless_d234_e346_k357_w1.3": Published(
        "ofa-proxyless-w1.3", f"{_FILES}ofa_proxyless_d234_e346_k357_w1.3"
    ),
    "ofa_resnet50": Published(
        "ofa-resnet50", "https://drive.google.com/uc?id=1xy6VIPEHXqbbqNu3xEZUxhp5FbTVs5cQ"
    ),
}

Fetch = Callable[[str, Path], Path | None]
"""Downloads an address into a folder and says where the file is; None if it failed."""


def cache_dir() -> Path:
    """Where downloads are kept: ``hybrid-nas`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hybrid-nas"


def fetch_published(net_id: str, *, fetch: Fetch | None = None) -> Path:
    """The checkpoint of a published supernet, downloaded unless it has been before.

    Args:
        net_id: a key of `PUBLISHED`.
        fetch: how to download; by `ofa`'s functions if None.

    Raises:
        HybridNasError: no network, or what came is no checkpoint.
    """
    published = PUBLISHED[net_id]
    target = cache_dir() / f"{net_id}.pth"
    if target.is_file():
        return target
    by_hand = (
        f"or fetch {published.url} elsewhere and give --supernet FILE --space {published.space}"
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            found = (fetch or _fetcher(published.url))(published.url, Path(folder))
            if found is None or not found.is_file():
                raise HybridNasError(f"nothing came from {published.url}")
            read_tensors(found)
            os.replace(found, target)
    except InputError as error:
        raise HybridNasError(f"what came as {net_id} is damaged: try again, {by_hand}") from error
    except (HybridNasError, OSError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise HybridNasError(
            f"cannot download {net_id} ({reason}): connect to the network, {by_hand}"
        ) from error
    return target


def _fetcher(url: str) -> Fetch:
    return _from_drive if "drive.google.com" in url else _from_web


def _from_web(url: str, folder: Path) -> Path | None:
    waited = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            path = download_url(url, model_dir=str(folder))
    except OSError as error:
        # where a download fails, `ofa` stumbles over its own clean-up; the cause is the context
        cause = error.__context__
        raise (cause if isinstance(cause, OSError) else error) from None
    finally:
        socket.setdefaulttimeout(waited)
    return None if path is None else Path(path)


def _from_drive(url: str, folder: Path) -> Path | None:
    try:
        gdown: Any = importlib.import_module("gdown")
    except ImportError as error:
        raise HybridNasError("this one needs the package gdown: pip install gdown") from error
    try:
        path = gdown.download(url, str(folder / "checkpoint"), quiet=True)
    except Exception as error:  # its exceptions have no common base and changed between versions
        raise HybridNasError(str(error)) from error
    return None if path is None else Path(path)
