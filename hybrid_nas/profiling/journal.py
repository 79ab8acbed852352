"""What was measured, on disk at once: JSON lines beside the table that is being made.

The first line says what the measurements belong to, every other is one operator's answer. A line is
appended in one write and synchronised before the next operator is measured, so whatever ends the
program costs at most the operator that was running. A last line without its newline is such a one.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import Identity, Measurement
from hybrid_nas.profiling.backend import Refused, Timed
from hybrid_nas.spaces.opspec import OpSpec

SCHEMA = "hybrid-nas/latency-journal/1"


def journal_path(table: Path) -> Path:
    """Where the journal of a table lies: beside it."""
    return table.with_name(table.name + ".journal")


class Journal:
    """Answers about operators, kept in a file until the table is written.

    Args:
        path: the file; it need not exist.
        identity: what the measurements belong to.
        base: fingerprint of the table that is being extended, or empty.

    Attributes:
        answers: what is in the file, by operator shape.

    Raises:
        InputError: the file belongs to another identity or base, or is damaged.
    """

    def __init__(self, path: Path, identity: Identity, base: str = "") -> None:
        self.path = path
        self.answers: dict[OpSpec, Timed | Refused] = {}
        self._head: dict[str, Any] = {"schema": SCHEMA, "identity": asdict(identity), "base": base}
        self._load()

    def append(self, answer: Timed | Refused) -> None:
        """Keep one answer; it is on the disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        lines = [] if self.path.exists() else [self._head]
        self._write(_lines([*lines, _document(answer)]))
        self.answers[answer.op.shape] = answer

    def remove(self) -> None:
        """Delete the file: the table holds everything."""
        self.path.unlink(missing_ok=True)
        self.answers.clear()

    def _write(self, data: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        finally:
            os.close(handle)

    def _load(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:  # the program ended while the first line was written
            self.path.unlink()
            return
        if len(whole) < len(data):
            os.truncate(self.path, len(whole))
        head, *rest = whole.splitlines()
        self._check_head(_parsed(head, f"{self.path}: line 1"))
        for number, line in enumerate(rest, 2):
            answer = _answer(_parsed(line, f"{self.path}: line {number}"))
            if answer is None:
                raise _damaged(f"{self.path}: line {number}")
            self.answers[answer.op.shape] = answer

    def _check_head(self, head: dict[str, Any]) -> None:
        if head.get("schema") != SCHEMA or not isinstance(head.get("identity"), dict):
            raise _damaged(f"{self.path}: line 1")
        for key, wanted in self._head["identity"].items():
            found = head["identity"].get(key)
            if found != wanted:
                raise InputError(
                    f"{self.path} holds measurements of {key} {found!r}, this device has "
                    f"{wanted!r}: give another --out, or --restart to discard them"
                )
        if head.get("base") != self._head["base"]:
            raise InputError(
                f"{self.path} is of a session that began from another table than the one that is "
                "there now: leave out --extend, or discard its measurements with --restart"
            )


def has_base(path: Path) -> bool:
    """Whether a journal lies at `path` that extends a table.

    >>> has_base(Path("nowhere.journal"))
    False
    """
    if not path.exists():
        return False
    with path.open("rb") as stream:
        line = stream.readline()
    return line.endswith(b"\n") and bool(_parsed(line, f"{path}: line 1").get("base"))


def _lines(documents: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(document) + "\n" for document in documents).encode()


def _document(answer: Timed | Refused) -> dict[str, Any]:
    if isinstance(answer, Timed):
        return {"op": asdict(answer.op.shape), "timed": asdict(answer.measurement)}
    return {"op": asdict(answer.op.shape), "refused": answer.reason}


def _answer(document: dict[str, Any]) -> Timed | Refused | None:
    try:
        op = OpSpec(**document["op"])
        if "timed" in document:
            return Timed(op, Measurement(**document["timed"]))
        return Refused(op, str(document["refused"]))
    except (KeyError, TypeError):
        return None


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise _damaged(where) from error
    if not isinstance(document, dict):
        raise _damaged(where)
    return document


def _damaged(where: str) -> InputError:
    return InputError(
        f"{where} is not what this program wrote there: mend or remove the line, or discard the "
        "measurements with --restart"
    )
