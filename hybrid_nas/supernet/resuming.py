"""A training that can be gone on with: from a checkpoint, or by the other processes of a team."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.supernet.checkpoint import read_tensors, to_bytes
from hybrid_nas.supernet.distributed import Team

_REASON_CHARACTERS = 120


class Resumable(ABC):
    """A training whose state is a document of tensors and plain values.

    Attributes:
        team: the processes that train together.
    """

    team: Team

    @abstractmethod
    def _identity(self) -> dict[str, Any]:
        """What decides the result, by name; it is part of the state."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """Everything that `_load` needs."""

    @abstractmethod
    def _load(self, state: Mapping[str, Any]) -> None:
        """Stand where a state of the same identity stands."""

    def _identity_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The identity in a state."""
        return state

    def save(self, path: Path) -> None:
        """Write everything that `restore` needs."""
        atomic_write(path, to_bytes(self._state()))

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of the same training.

        Raises:
            InputError: it belongs to another, and the message says what differs; or it is damaged.
        """
        state = read_tensors(path)
        for difference in self._differences(state):
            raise InputError(
                f"{path} was begun with another {difference}: give the settings that it was "
                "started with, or --restart to start anew"
            )
        try:
            self._load(state)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            what = " ".join(str(error).split())[:_REASON_CHARACTERS]
            raise InputError(
                f"{path} is damaged, or another version's ({type(error).__name__}: {what}): give "
                "--restart to start anew"
            ) from error

    def _follow(self) -> None:
        """Stand where process 0 of the team stands."""
        if self.team.size == 1:
            return
        state = self.team.share(self._state() if self.team.leads else None)
        for difference in self._differences(state, f" than process {self.team.rank}"):
            raise InputError(
                f"process 0 trains with another {difference}: give all machines the same files "
                "and flags"
            )
        if not self.team.leads:
            self._load(state)

    def _differences(self, state: Mapping[str, Any], than: str = "") -> Iterator[str]:
        """What is otherwise in `state`; of settings, the first one in brackets."""
        found = self._identity_of(state)
        for key, mine in self._identity().items():
            if found.get(key) != mine:
                yield f"{key}{than}{_first_difference(found.get(key), mine)}"


def _first_difference(found: object, mine: object) -> str:
    """Names the first setting in which two dictionaries differ; nothing for digests."""
    if not isinstance(found, dict) or not isinstance(mine, dict):
        return ""
    for key in [*mine, *found]:
        if found.get(key) != mine.get(key):
            return f" ({key} was {found.get(key)}, is {mine.get(key)})"
    return ""
