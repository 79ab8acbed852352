"""Whether a model was trained for a data set's classes, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.data.dataset import Dataset
from hybrid_nas.errors import InputError


def check_class_names(names: Sequence[str], data: Dataset, model: str, mend: str) -> None:
    """Raise unless a model's outputs stand for the classes of a data set, in their order.

    Numbers may stand for any names, and be counted from anywhere. But folders of numbers are read
    as ``0, 1, 10, 2``, arrays of them as ``0, 1, 2, 10``: two lists of numbers must agree in order.

    Args:
        names: of the model's outputs.
        data: what it is to classify.
        model: what to call it in messages.
        mend: what to do about another number of classes.

    Raises:
        InputError: naming the number, or the first class, that differs.
    """
    if len(names) != len(data.classes):
        raise InputError(
            f"{model} tells {len(names)} classes apart, {data.name} has {len(data.classes)}: {mend}"
        )
    mine, theirs = list(names), list(data.classes)
    numbers = [all(name.isdecimal() for name in some) for some in (mine, theirs)]
    if any(numbers) and not all(numbers):
        return
    ranks = [_ranks(some) if all(numbers) else some for some in (mine, theirs)]
    for k, (one, other) in enumerate(zip(*ranks, strict=True)):
        if one != other:
            raise InputError(
                f"class {mine[k]!r} of {model} is {theirs[k]!r} in {data.name}: it was trained for "
                "other classes, or in another order"
            )


def _ranks(names: Sequence[str]) -> list[int]:
    """The place of each number in ascending order."""
    place = {number: k for k, number in enumerate(sorted({int(name) for name in names}))}
    return [place[int(name)] for name in names]
