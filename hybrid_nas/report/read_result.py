"""Reading what a pair reaches, and what the run was asked for, from ``pareto.json``."""

from __future__ import annotations

import dataclasses

from hybrid_nas.report.fields import Fields
from hybrid_nas.report.result import Point, Question, Result

_KEYS = tuple(field.name for field in dataclasses.fields(Result))


def read_question(fields: Fields) -> Question:
    """What was asked; every pair's point has it."""
    for n, item in enumerate(fields.items("pairs")):
        pair = Fields(item, f"{fields.where}: pairs[{n}]")
        if pair.values.get("point") is not None:
            return Question.of(pair.fields("point").numbers("asked"))
    return Question()


def read_point(fields: Fields) -> Point:
    """The entry ``point`` of a pair."""
    return Point(
        coverage=fields.number("coverage"),
        threshold=fields.number("threshold"),
        score=_result(fields.fields("score")),
        test=_result(fields.fields("test")),
    )


def read_results(fields: Fields) -> dict[str, Result]:
    """The results of one split by coverage key."""
    return {coverage: _result(fields.fields(coverage)) for coverage in fields.values}


def _result(fields: Fields) -> Result:
    values = {name: fields.number(name) for name in _KEYS}
    stderr = values["stderr"]
    return Result(**{**values, "stderr": None if stderr is None else abs(stderr)})
