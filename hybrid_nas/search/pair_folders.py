"""Folders of the front's pairs: each stays with its pair when the front is numbered anew.

A resumed search may give number 1 to another pair than before. What has been made of the earlier
one since (its training, evaluation, verification) lies in ``pairs/1`` and goes with it: to its new
number, or aside if it has left the front. Each folder says of which trial it is, and is moved by
one rename: a process that is killed in between leaves only folders that the next one can tell
apart.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_nas.errors import InputError
from hybrid_nas.search.rundir import RunDirectory

FILE = "trial.json"
"""In a pair's folder: the number of its trial."""
SEARCHED = frozenset(
    {
        FILE,
        *("architecture.json", "genes.json", "router.json", "curves.json"),
        *("cloud_architecture.json", "cloud_genes.json"),
    }
)
"""What the search itself writes there; the figures of pairs that left stay in `trials.json`."""
_FORMER = "former"


def settle(directory: RunDirectory, trials: Sequence[int]) -> None:
    """Give every pair of a front its own folder, before its documents are written there.

    Folders of pairs that have left the front become ``pairs/former-trial-<trial>``, if more than
    the search's own documents is in them; without such, they are removed.

    Args:
        directory: locked, and with the ``pareto.json`` of before, if there was a front.
        trials: of the front's pairs, in order of their numbers.
    """
    _name_unnamed(directory)
    home = {trial: directory.pair(number) for number, trial in enumerate(trials, 1)}
    for folder in _numbered(directory):
        trial = trial_of(folder)
        if trial is None or home.get(trial) != folder:
            folder.rename(_free(_aside(folder, trial)))
    for trial, folder in home.items():
        aside = _aside(folder, trial)
        if not folder.exists() and aside.is_dir():
            aside.rename(folder)
        if trial_of(folder) is None:
            directory.write_json(folder / FILE, {"trial": trial})
    for folder in _pairs(directory).glob(f"{_FORMER}-*"):
        if folder.is_dir() and {path.name for path in folder.iterdir()} <= SEARCHED:
            shutil.rmtree(folder)


def trial_of(folder: Path) -> int | None:
    """Of which trial a pair's folder is; None if it does not say, as those of earlier versions."""
    try:
        return int(json.loads((folder / FILE).read_text())["trial"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_folder(directory: RunDirectory, number: int, trial: int) -> None:
    """Refuse a folder of another trial than the pair is.

    Raises:
        InputError: it is: a resumed search was killed after it had moved the folders and before it
            wrote ``pareto.json``.
    """
    found = trial_of(directory.pair(number))
    if found is not None and found != trial:
        raise InputError(
            f"{directory.pair(number)} is of trial {found}, but in pareto.json pair {number} is "
            f"trial {trial}: the search ended while it wrote them; let it finish by 'hybrid-nas "
            f"search --resume --run {directory.path}'"
        )


def _name_unnamed(directory: RunDirectory) -> None:
    """Let folders of earlier versions say of which trial they are, by the front of before."""
    known = _trials_of_front(directory.pareto)
    for folder in _numbered(directory):
        trial = known.get(int(folder.name))
        if trial is not None and trial_of(folder) is None:
            directory.write_json(folder / FILE, {"trial": trial})


def _trials_of_front(path: Path) -> Mapping[int, int]:
    """Trials by number of the pair; none without a readable ``pareto.json``."""
    try:
        return {int(p["id"]): int(p["trial"]) for p in json.loads(path.read_text())["pairs"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _pairs(directory: RunDirectory) -> Path:
    return directory.pair(1).parent


def _numbered(directory: RunDirectory) -> list[Path]:
    pairs = _pairs(directory)
    children = sorted(pairs.iterdir()) if pairs.is_dir() else []
    return [path for path in children if path.is_dir() and re.fullmatch(r"[1-9]\d*", path.name)]


def _aside(folder: Path, trial: int | None) -> Path:
    """Where a folder goes that has no number any more.

    Beside the others, as the looks at the test split of every ``pairs/*/evaluation.json`` count.
    """
    own = f"pair-{folder.name}" if trial is None else f"trial-{trial}"
    return folder.with_name(f"{_FORMER}-{own}")


def _free(path: Path) -> Path:
    """`path`, or the first of ``path-2``, ``path-3`` ... that does not exist."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found
