"""Of which pair a training is: it says so itself, as a folder's number may come to mean another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.spaces.space import Genes


def about_candidate(space: str, candidate: Candidate) -> dict[str, Any]:
    """What ``base.pt`` says of the pair it was trained for, in plain values."""
    return {
        "space": space,
        "genes": list(candidate.genes),
        "router": candidate.router,
        "cloud": None if candidate.cloud is None else list(candidate.cloud),
    }


def check_trained_for(
    candidate: Candidate,
    number: int,
    folder: Path,
    about: Mapping[str, Any],
    router: str,
    cloud: Genes | None,
) -> None:
    """Refuse what was trained for another pair than `candidate`.

    Args:
        candidate: the pair that asks, and its `number`.
        number: for the message.
        folder: of the training.
        about: of ``base.pt``; earlier versions wrote no router and no cloud there.
        router: design of ``router.json``.
        cloud: genes of ``cloud.pt``; None if there is none.

    Raises:
        InputError: base, router or cloud are another pair's.
    """
    genes = about.get("genes")
    if genes is not None and tuple(genes) != candidate.genes:
        raise _of_another(folder, number, "its base is another network")
    for found in (router, about.get("router", router)):
        if found != candidate.router:
            difference = f"its router is {found}, that of pair {number} is {candidate.router}"
            raise _of_another(folder, number, difference)
    if candidate.cloud is None:
        return  # all pairs ask the same, which may have learnt
    for one in (cloud, about.get("cloud")):
        if one is not None and tuple(one) != candidate.cloud:
            raise _of_another(folder, number, "its cloud is another network")


def _of_another(folder: Path, number: int, difference: str) -> InputError:
    return InputError(
        f"{folder} was trained for another pair ({difference}): train pair {number} again, or give "
        "--untrained"
    )
