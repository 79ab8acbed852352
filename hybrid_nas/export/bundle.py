"""A folder of files that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file

DOCUMENT, CARD = "pair.yaml", "MODEL_CARD.md"


@dataclass
class Bundle:
    """Files in the making, with what each of them is.

    Attributes:
        folder: a temporary one, beside the final one.
        described: what the files are, by path below the folder; a folder stands for all in it.
    """

    folder: Path
    described: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, what: str) -> Path:
        """Where to write a file, or a folder, of that name."""
        self.described[name] = what
        return self.folder / name

    def files(self) -> dict[str, dict[str, Any]]:
        """Size and digest of each file; folders count all their files together."""
        listed: dict[str, dict[str, Any]] = {}
        for name, what in self.described.items():
            path = self.folder / name
            if path.is_dir():
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                listed[f"{name}/"] = {"what": what, "bytes": size}
            else:
                digest = sha256_of_file(path)
                listed[name] = {"what": what, "bytes": path.stat().st_size, "sha256": digest}
        return listed

    def write_documents(self, document: dict[str, Any]) -> dict[str, Any]:
        """Add ``pair.yaml`` and the model card; returns what is in the first."""
        whole = {**document, "files": self.files()}
        text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
        (self.folder / DOCUMENT).write_text(text)
        (self.folder / CARD).write_text(model_card(whole))
        return whole


def model_card(document: dict[str, Any]) -> str:
    """Markdown for people, from ``pair.yaml``."""
    loader = PackageLoader("hybrid_nas.export")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    defaults = {key: None for key in ("router", "search", "accuracy", "calibration", "guarantees")}
    return environment.get_template("card.md.j2").render(**{**defaults, **document})


class FolderInTheMaking:
    """``with FolderInTheMaking(out) as bundle``: `out` is there once all of it is.

    Args:
        out: the folder to make.
        force: replace one that is there, if it is an earlier export.

    Raises:
        InputError: it is there.
    """

    def __init__(self, out: Path, *, force: bool = False) -> None:
        self._out = out
        if out.exists():
            ours = out.is_dir() and ((out / DOCUMENT).is_file() or not any(out.iterdir()))
            if not ours:
                raise InputError(f"--out {out} is there and is no earlier export: name another one")
            if any(out.iterdir()) and not force:
                raise InputError(f"--out {out} holds an export: --force replaces it")

    def __enter__(self) -> Bundle:
        self._out.absolute().parent.mkdir(parents=True, exist_ok=True)
        self._temporary = Path(
            tempfile.mkdtemp(prefix=f".{self._out.name}.", dir=self._out.absolute().parent)
        )
        return Bundle(self._temporary)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            return
        if self._out.exists():
            self._replace_content()
            return
        umask = os.umask(0)
        os.umask(umask)
        self._temporary.chmod(0o777 & ~umask)  # mkdtemp makes 0700
        self._temporary.rename(self._out)

    def _replace_content(self) -> None:
        """The folder itself stays: it may be a link, a mounted volume or where the user is."""
        for old in self._out.iterdir():
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink()
        for new in sorted(self._temporary.iterdir(), key=lambda path: path.name == DOCUMENT):
            shutil.move(new, self._out / new.name)  # what makes it an export comes last
        self._temporary.rmdir()
