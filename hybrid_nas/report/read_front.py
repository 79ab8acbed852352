"""Reading ``pareto.json`` into a `Front`; what the document lacks becomes None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.report.fields import Fields, finite
from hybrid_nas.report.front import (
    ACCURACY,
    Base,
    Cloud,
    Cost,
    Front,
    Limits,
    Objective,
    OwnCloud,
    Pair,
    Router,
)
from hybrid_nas.report.read_result import read_point, read_question, read_results

_MEASURE_OF_OBJECTIVE = {
    "mean-latency": "mean_latency_ms",
    "mean-macs": "mean_macs",
    "mean-energy": "mean_energy_mj",
    "accuracy-in-budget": "accuracy_in_budget",
    "mean-macs-in-budget": "mean_macs_in_budget",
    "mean-latency-within-loss": "mean_latency_ms_within_loss",
    "mean-macs-within-loss": "mean_macs_within_loss",
    "mean-energy-within-loss": "mean_energy_mj_within_loss",
    "edge-latency": "edge_latency_ms",
    "base-accuracy": "base_accuracy",
    "sram": "sram_bytes",
    "flash": "flash_bytes",
}
PARETO_SCHEMA = "hybrid-nas/pareto/1"
DEFAULT_TARGET = "0.7"
_COVERAGE_OBJECTIVE = re.compile(rf"{ACCURACY}[01](?:\.[0-9]{{1,12}})?", re.ASCII)


def read_front(document: Mapping[str, Any] | Fields, where: str = "pareto.json") -> Front:
    """The front that a ``pareto.json`` document describes.

    Raises:
        InputError: another schema, or an object or list is not where the schema has one.
    """
    fields = document if isinstance(document, Fields) else Fields(document, where)
    if fields.text("schema") != PARETO_SCHEMA:
        raise InputError(
            f"{fields.where} has schema {fields.text('schema')[:80]!r}, "
            f"but this version of hybrid-nas reads {PARETO_SCHEMA!r}"
        )
    coverages = tuple(
        format(value, "g")
        for value in sorted(filter(None, map(finite, fields.items("coverages"))), reverse=True)
    )
    objectives = _objectives(fields.fields("objective"))
    stated = fields.number("target_coverage")
    target = _target(objectives, coverages) if stated is None else format(stated, "g")
    pairs = [
        _pair(Fields(item, f"{fields.where}: pairs[{n}]"))
        for n, item in enumerate(fields.items("pairs"))
    ]
    question = read_question(fields)
    if question.regime == "coverage":
        pairs.sort(key=lambda pair: (-(pair.at(target, "score").accuracy or 0.0), pair.id))
    return Front(
        board=fields.text("board"),
        latency_table=fields.text("latency_table"),
        coverages=coverages or (target,),
        target=target,
        objectives=objectives,
        limits=_limits(fields.fields("limits")),
        pairs=tuple(pairs),
        cloud=_cloud(fields) if fields.values.get("cloud") is not None else None,
        baseline_note=fields.text("baseline_note"),
        data_name=fields.fields("data").text("name"),
        test_inputs=fields.fields("data").integer("test_images"),
        question=question,
    )


def _objectives(fields: Fields) -> tuple[Objective, ...]:
    names = [_measure(str(name)) for name in fields.items("names")]
    directions = [str(direction) for direction in fields.items("directions")]
    return tuple(
        Objective(name, direction == "maximize")
        for name, direction in zip(names, directions, strict=False)
    )


def _measure(objective: str) -> str:
    """The name that costs and trials have for an objective such as ``mean-latency@0.7``."""
    return _MEASURE_OF_OBJECTIVE.get(objective.partition("@")[0], objective)


def _target(objectives: tuple[Objective, ...], coverages: tuple[str, ...]) -> str:
    for objective in objectives:
        if _COVERAGE_OBJECTIVE.fullmatch(objective.name):
            return objective.name.removeprefix(ACCURACY)
    if DEFAULT_TARGET in coverages or not coverages:
        return DEFAULT_TARGET
    return coverages[0]


def _limits(fields: Fields) -> Limits:
    return Limits(
        sram_bytes=fields.integer("sram_bytes"),
        flash_bytes=fields.integer("flash_bytes"),
        latency_ms=fields.number("latency_ms"),
        reserve_sram_bytes=fields.integer("reserve_sram_bytes"),
        reserve_flash_bytes=fields.integer("reserve_flash_bytes"),
    )


def _cloud(fields: Fields) -> Cloud:
    cloud = fields.fields("cloud")
    return Cloud(
        cloud.text("name"),
        cloud.number("accuracy"),
        cloud.number("latency_ms"),
        cloud.number("uplink_ms"),
    )


def _pair(fields: Fields) -> Pair:
    number = fields.values.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise InputError(f"{fields.where}.id must be an integer (got {str(number)[:60]!r})")
    router = fields.fields("router")
    cost = fields.fields("cost")
    return Pair(
        id=number,
        base=_base(fields.fields("base")),
        router=Router(
            kind=router.text("kind", "none"),
            method=router.text("method") or router.text("objective"),
            params=router.integer("params"),
            flash_bytes=router.integer("flash_bytes"),
            sram_bytes=router.integer("sram_bytes"),
            thresholds=router.numbers("thresholds"),
        ),
        cost=Cost(
            sram_bytes=cost.integer("sram_bytes"),
            flash_bytes=cost.integer("flash_bytes"),
            edge_latency_ms=cost.number("edge_latency_ms"),
            edge_latency_is=cost.text("edge_latency_is"),
            edge_energy_mj=cost.number("edge_energy_mj"),
        ),
        score=read_results(fields.fields("hybrid")),
        test=read_results(fields.fields("test")),
        baselines={
            name: fields.fields("baselines").numbers(name)
            for name in fields.fields("baselines").values
        },
        auc=fields.number("auc"),
        point=None if fields.values.get("point") is None else read_point(fields.fields("point")),
        cloud=None if fields.values.get("cloud") is None else _own_cloud(fields.fields("cloud")),
    )


def _own_cloud(fields: Fields) -> OwnCloud:
    return OwnCloud(
        space=fields.text("space"),
        genes=fields.fields("genes").values,
        resolution=fields.integer("resolution"),
        macs=fields.integer("macs"),
        params=fields.integer("params"),
        accuracy=fields.number("accuracy"),
        test_accuracy=fields.number("test_accuracy"),
        latency_ms=fields.number("latency_ms"),
    )


def _base(fields: Fields) -> Base:
    genes = fields.fields("genes").values
    resolution = fields.integer("resolution")
    return Base(
        space=fields.text("space"),
        genes=genes,
        resolution=resolution if resolution is not None else _whole(genes.get("resolution")),
        width=finite(genes.get("width")),
        macs=fields.integer("macs"),
        params=fields.integer("params"),
        accuracy=fields.number("accuracy"),
        test_accuracy=fields.number("test_accuracy"),
    )


def _whole(value: object) -> int | None:
    number = finite(value)
    return None if number is None else int(number)
