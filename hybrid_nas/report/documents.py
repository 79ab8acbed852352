"""A run directory as the report reads it: the front, its curves, the trials, the settings.

Only ``pareto.json`` must be there. What else is missing is listed in `Run.missing`, and the report
leaves its part out; what is there but broken is refused, since half of it would mislead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.report.fields import Fields, finite, read_json, read_yaml
from hybrid_nas.report.front import ACCURACY, Front, Pair
from hybrid_nas.report.read_front import PARETO_SCHEMA, read_front
from hybrid_nas.report.verified import ArenaPlan, Verified, read_plan, read_verified
from hybrid_nas.typing import FloatArray

TRIALS_SCHEMA = "hybrid-nas/trials/1"
_MEASURES = (
    "base_accuracy",
    "sram_bytes",
    "flash_bytes",
    "edge_latency_ms",
    "mean_latency_ms",
    "macs",
    "params",
    "auc",
)


@dataclass(frozen=True)
class Trial:
    """One scored candidate.

    `measures` holds those of its objectives and costs that are known; `elapsed_seconds` is how long
    the search took until it and all before it were scored.
    """

    number: int
    measures: Mapping[str, float]
    hypervolume: float | None
    total_seconds: float | None
    router_seconds: float | None
    elapsed_seconds: float | None = None


@dataclass(frozen=True)
class Curve:
    """Accuracy over coverage of one pair: arrays of one length; NaN where a value is missing."""

    coverage: FloatArray
    accuracy: Mapping[str, FloatArray]
    stderr: FloatArray | None


@dataclass(frozen=True)
class Run:
    """One run directory.

    Attributes:
        folder: the directory.
        front: from ``pareto.json``.
        settings: ``run.yaml`` as it is.
        trials: from ``trials.json``, in order of number.
        curves: from ``pairs/<id>/curves.json``, by pair id, on the test split.
        missing: one sentence for each document that is not there.
        verified: what `verify` found, by pair id; absent where it was not run.
        plans: of arenas, by pair id, where they are known.
    """

    folder: Path
    front: Front
    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]
    curves: Mapping[int, Curve]
    missing: tuple[str, ...]
    verified: Mapping[int, tuple[Verified, ...]] = field(default_factory=dict)
    plans: Mapping[int, ArenaPlan] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run: its folder's."""
        return self.folder.resolve().name


def read_run(folder: Path) -> Run:
    """Read the documents of a run directory.

    Raises:
        InputError: `folder` is not a run directory, or one of its documents is broken.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a directory: name a run directory, such as runs/NAME")
    if not (folder / "pareto.json").is_file():
        if (folder / "run.yaml").is_file():
            raise InputError(
                f"{folder} has no pareto.json, since its search has not ended: go on by "
                f"'hybrid-nas search --resume --run {folder}', with --trials 1 to end with what "
                "is scored"
            )
        raise InputError(f"{folder} has no pareto.json: name a run directory, such as runs/NAME")
    front = read_front(read_json(folder / "pareto.json", PARETO_SCHEMA))
    missing = []
    settings: Mapping[str, Any] = {}
    if (folder / "run.yaml").is_file():
        settings = read_yaml(folder / "run.yaml").values
    else:
        missing.append("run.yaml is missing: settings, versions and hashes are not shown")
    trials: tuple[Trial, ...] = ()
    if (folder / "trials.json").is_file():
        trials = _read_trials(folder / "trials.json", front)
    else:
        missing.append("trials.json is missing: candidates beside the front are not shown")
    curves = {}
    for pair in front.pairs:
        path = folder / "pairs" / str(pair.id) / "curves.json"
        if path.is_file():
            curves[pair.id] = _read_curve(path)
        else:
            missing.append(f"pairs/{pair.id}/curves.json is missing: no curves of pair {pair.id}")
    pairs = tuple(_with_base_on_test(pair, curves.get(pair.id)) for pair in front.pairs)
    verified, plans = {}, {}
    for pair in front.pairs:
        place = folder / "pairs" / str(pair.id)
        if found := read_verified(place):
            verified[pair.id] = found
        if (plan := read_plan(place)) is not None:
            plans[pair.id] = plan
    return Run(
        folder=folder,
        front=replace(front, pairs=pairs),
        settings=settings,
        trials=trials,
        curves=curves,
        missing=tuple(missing),
        verified=verified,
        plans=plans,
    )


def _read_trials(path: Path, front: Front) -> tuple[Trial, ...]:
    fields = read_json(path, TRIALS_SCHEMA)
    trials = [
        _trial(Fields(item, f"{path}: trials[{n}]"), n, front)
        for n, item in enumerate(fields.items("trials"))
    ]
    return tuple(sorted(trials, key=lambda trial: trial.number))


def _trial(fields: Fields, position: int, front: Front) -> Trial:
    measures = {name: fields.number(name) for name in _MEASURES}
    measures |= {ACCURACY + key: value for key, value in fields.numbers("accuracy").items()}
    values = [finite(value) for value in fields.items("values")]
    measures |= {
        objective.name: value
        for objective, value in zip(front.objectives, values, strict=False)
        if value is not None
    }
    if fields.values.get("point") is not None:  # that is where this one would be run
        measures["mean_latency_ms"] = fields.fields("point").number("mean_latency_ms")
    number = fields.integer("number")
    seconds = fields.numbers("seconds")
    return Trial(
        number=position if number is None else number,
        measures={name: value for name, value in measures.items() if value is not None},
        hypervolume=fields.number("hypervolume"),
        total_seconds=seconds.get("total"),
        router_seconds=seconds.get("router"),
        elapsed_seconds=fields.number("elapsed_s"),
    )


def _read_curve(path: Path) -> Curve:
    fields = read_json(path)
    coverage = _array(fields, "coverage")
    accuracy = fields.fields("accuracy")
    curves = {name: _array(accuracy, name) for name in accuracy.values}
    stderr = _array(fields, "stderr") if fields.values.get("stderr") is not None else None
    for name, values in {**curves, **({} if stderr is None else {"stderr": stderr})}.items():
        if len(values) != len(coverage):
            raise InputError(
                f"{path}: {name} has {len(values)} values, but coverage has {len(coverage)}"
            )
    order = np.argsort(coverage, kind="stable")
    return Curve(
        coverage=coverage[order],
        accuracy={name: values[order] for name, values in curves.items()},
        stderr=None if stderr is None else stderr[order],
    )


def _array(fields: Fields, key: str) -> FloatArray:
    values = [finite(value) for value in fields.items(key)]
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _with_base_on_test(pair: Pair, curve: Curve | None) -> Pair:
    """`pair` with its base's accuracy on the test split, which is the curve's end at coverage 1."""
    if pair.base.test_accuracy is not None or curve is None or "router" not in curve.accuracy:
        return pair
    if not len(curve.coverage) or not curve.coverage[-1] >= 1.0:
        return pair
    accuracy = finite(float(curve.accuracy["router"][-1]))
    return replace(pair, base=replace(pair.base, test_accuracy=accuracy))
