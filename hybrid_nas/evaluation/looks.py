"""How often the test split has been looked at: what may be claimed wears out with each look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.search.rundir import RunDirectory

FILE = "evaluation.json"


@dataclass(frozen=True)
class Looks:
    """Who looked at a run's test split before.

    Attributes:
        this_pair: earlier evaluations of the pair, oldest first: when, and of what.
        other_pairs: how many evaluations the run's other pairs have had.
    """

    this_pair: tuple[dict[str, Any], ...]
    other_pairs: int

    @property
    def sentence(self) -> str:
        """What a reader of the figures has to know about it."""
        searched = "The search looked at the test split once for every pair of its front"
        if not self.this_pair and not self.other_pairs:
            return f"{searched}; this is the first evaluation since."
        mine = f"{len(self.this_pair)} of this pair"
        if self.this_pair:
            mine += f" (the last at {self.this_pair[-1]['when']})"
        return (
            f"{searched}. Evaluations before this one: {mine}, {self.other_pairs} of others. What "
            "is chosen by such figures looks better on them than it is."
        )

    def document(self, *, trained: bool) -> dict[str, Any]:
        """For ``evaluation.json``, with this evaluation added to the history."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return {
            "evaluations_before": len(self.this_pair),
            "evaluations_of_other_pairs": self.other_pairs,
            "looked_at_by_search": True,
            "reading": self.sentence,
            "history": [
                *self.this_pair,
                {"when": now, "base": "trained" if trained else "untrained"},
            ],
        }


def count_looks(directory: RunDirectory, number: int) -> Looks:
    """Read the records of a run's evaluations.

    Raises:
        InputError: a record is damaged.
    """
    mine = directory.pair(number) / FILE
    others = [path for path in sorted((directory.path / "pairs").glob(f"*/{FILE}")) if path != mine]
    return Looks(
        tuple(_history(mine)) if mine.is_file() else (),
        sum(len(_history(path)) for path in others),
    )


def _history(path: Path) -> list[dict[str, Any]]:
    try:
        history = json.loads(path.read_text())["test_split"]["history"]
        if all(isinstance(entry["when"], str) for entry in history):
            return list(history)
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"{path} is damaged: it says how often the test split was looked at; restore it, or remove "
        "it and remember that it was"
    )
