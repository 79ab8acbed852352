"""What a command is about: a pair of a run, or the files of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_nas.errors import InputError

if TYPE_CHECKING:
    from hybrid_nas.training.job import RunPair


def named_pair(run: Path, number: int) -> RunPair:
    """The pair of that number.

    Raises:
        InputError: there is none; nothing else of the run has been opened then.
    """
    from hybrid_nas.search.rundir import RunDirectory
    from hybrid_nas.training.job import RunPair

    pair = RunPair(RunDirectory(run), number)
    pair.document  # noqa: B018  # reads it
    return pair


def check_subject(
    run: Path | None,
    pair: int | None,
    arch: Path | None,
    weights: Path | None,
    calibration: str | None,
    normalisation: str | None,
    **of_pairs: object,
) -> None:
    """Refuse all but RUN with ``--pair``, or ``--arch`` with ``--weights``.

    `of_pairs` are further flags that mean nothing with ``--arch``: false where they were not given.
    """
    if (run is None) == (arch is None):
        raise InputError("give either RUN with --pair, or --arch with --weights")
    if run is None:
        if weights is None:
            raise InputError(f"--weights is missing: the weights of {arch}")
        for name, value in {"pair": pair, **of_pairs}.items():
            if value:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{flag} is about a pair of a RUN: leave it out with --arch")
        return
    if pair is None:
        raise InputError(f"--pair is missing: which pair of {run}?")
    files_only = {
        "--weights": weights,
        "--calibration": calibration,
        "--normalisation": normalisation,
    }
    for name, value in files_only.items():
        if value is not None:
            raise InputError(f"{name} belongs to --arch: a run's pair has its own")
