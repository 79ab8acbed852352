"""What ``hybrid-nas route`` does with its flags: judge, then print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_nas.cli.output import console, emit_json
from hybrid_nas.cli.route_costs import CostFlags, TargetFlags
from hybrid_nas.errors import InfeasibleError, InputError

if TYPE_CHECKING:
    from hybrid_nas.routing.clouds import JudgedCloud
    from hybrid_nas.routing.guarantees.after_selection import GuaranteedMethod, Parts
    from hybrid_nas.routing.guarantees.promise import Promise
    from hybrid_nas.routing.outputs import ModelOutputs
    from hybrid_nas.routing.results import RouteAnalysis

EVERY_DESIGN = "all"
"""The value of ``--router`` that compares all designs."""


@dataclass(frozen=True)
class Request:
    """What was asked for, beside the files."""

    coverages: tuple[float, ...]
    costs: CostFlags
    targets: TargetFlags
    utility: str | None
    design: str | None
    folds: int
    repeats: int | None
    seed: int
    promises: Sequence[Promise]
    calibration_share: float
    plot: Path | None
    json: bool


def judge_alone(request: Request, base: Path) -> None:
    """Judge a base without a cloud, and print that."""
    from hybrid_nas import routing
    from hybrid_nas.cli.route_tables import abstaining_table, print_guarantees
    from hybrid_nas.routing.abstaining import analyse_abstaining
    from hybrid_nas.routing.document import abstaining_document
    from hybrid_nas.routing.guarantees.after_selection import guarantee_selection, split_outputs
    from hybrid_nas.routing.loading import drop_constant_features
    from hybrid_nas.routing.usable import check_classes

    needing = (
        request.utility is not None,
        request.targets != TargetFlags(),
        request.costs != CostFlags(),
        request.plot is not None,
        request.design == EVERY_DESIGN,
    )
    if any(needing):
        raise InputError(
            "--no-cloud judges the kept inputs alone: leave out utility, targets, times, prices, "
            "--plot and --router all, or give --cloud FILE"
        )
    device, notes = drop_constant_features(routing.load_outputs(base))
    if device.labels is not None:
        check_classes(device.labels, device.source)
    parts = split_outputs(device, None, request.promises, request.calibration_share, request.seed)
    shape = None if request.design is None else routing.design(request.design)
    alone = analyse_abstaining(parts.base, request.coverages, design=shape, seed=request.seed)
    found = guarantee_selection(request.promises, parts, alone.selection, alone.design)
    if request.json:
        extra = {"notes": notes} if notes else {}
        emit_json(abstaining_document(alone) | extra | _guarantees_entry(found))
        return
    out = console(json=False)
    out.print(abstaining_table(alone))
    for note in notes:
        out.print(f"Note: {note}.", markup=False)
    print_guarantees(out, found)


def judge_hybrids(request: Request, base: Path, clouds: Sequence[Path]) -> None:
    """Judge a base with each of the clouds, and print the best."""
    from hybrid_nas import routing
    from hybrid_nas.cli.route_tables import (
        cloud_table,
        design_table,
        method_table,
        print_guarantees,
        target_table,
    )
    from hybrid_nas.routing.clouds import best_cloud
    from hybrid_nas.routing.document import clouds_document, route_document
    from hybrid_nas.routing.guarantees.after_selection import guarantee_selection
    from hybrid_nas.routing.loading import drop_constant_features
    from hybrid_nas.routing.verdict import judge

    request.costs.check_clouds(len(clouds))
    device, notes = drop_constant_features(routing.load_outputs(base))
    judged, parts = _judge_each(request, base, device, clouds, notes)
    chosen = best_cloud(judged)
    analysis = judged[chosen].analysis
    found = guarantee_selection(
        request.promises, parts[chosen], analysis.selection, analysis.design
    )
    verdict = judge(analysis)
    if request.plot is not None:
        from hybrid_nas.files import atomic_write
        from hybrid_nas.report.plot_route import route_png

        atomic_write(request.plot, route_png(analysis))
    if request.json:
        document = route_document(analysis, verdict, notes) | clouds_document(judged, chosen)
        emit_json(document | _guarantees_entry(found))
        return
    out = console(json=False)
    if len(judged) > 1:
        out.print(cloud_table(judged, chosen))
    out.print(method_table(analysis))
    if analysis.designs:
        out.print(design_table(analysis))
    if analysis.targets:
        out.print(target_table(analysis))
    for note in notes:
        out.print(f"Note: {note}.", markup=False)
    out.print(f"{verdict.hybrid}\n{verdict.router}", markup=False)
    if request.plot is not None:
        out.print(f"Plot: {request.plot}", markup=False)
    print_guarantees(out, found)


def _judge_each(
    request: Request, base: Path, device: ModelOutputs, clouds: Sequence[Path], notes: list[str]
) -> tuple[list[JudgedCloud], list[Parts]]:
    """Judge every cloud; of several, those out of a target's reach are left out with a note."""
    from hybrid_nas import routing
    from hybrid_nas.routing.clouds import JudgedCloud

    judged: list[JudgedCloud] = []
    parts = []
    out_of_reach: InfeasibleError | None = None
    for position, path in enumerate(clouds):
        remote = routing.load_outputs(path)
        try:
            one, part = _judge_one(request, base, device, path, remote, position)
        except InfeasibleError as error:
            out_of_reach = error
            notes.append(f"{path} was left out: {error}")
            continue
        judged.append(JudgedCloud(remote, one))
        parts.append(part)
    if not judged:
        assert out_of_reach is not None  # no cloud was judged for another reason
        raise out_of_reach
    return judged, parts


def _judge_one(
    request: Request,
    base: Path,
    device: ModelOutputs,
    path: Path,
    remote: ModelOutputs,
    position: int,
) -> tuple[RouteAnalysis, Parts]:
    from hybrid_nas import routing
    from hybrid_nas.routing.analysis import analyse
    from hybrid_nas.routing.guarantees.after_selection import split_outputs
    from hybrid_nas.routing.guarantees.splitting import set_aside
    from hybrid_nas.routing.utility import measure_of, parse_utility

    costs = request.costs.costs(base, path, position, device.n)
    if request.promises:
        routing.check_pair(device, remote)
        groups = device.groups if device.groups is not None else remote.groups
        aside = set_aside(device.n, groups, request.calibration_share, request.seed)
        costs = [cost.take(~aside) for cost in costs]
    parts = split_outputs(device, remote, request.promises, request.calibration_share, request.seed)
    assert parts.cloud is not None
    utility = None if request.utility is None else parse_utility(request.utility)
    every = request.design == EVERY_DESIGN
    shape = None if request.design is None or every else routing.design(request.design)
    query = request.costs.query()
    analysis = analyse(
        parts.base,
        parts.cloud,
        request.coverages,
        design=shape,
        every_design=every,
        folds=request.folds,
        repeats=request.repeats,
        seed=request.seed,
        utility=utility,
        costs=costs,
        targets=request.targets.targets(costs, *measure_of(utility)),
        curve=request.plot is not None,
        availability=1.0 if query is None else query.availability,
    )
    return analysis, parts


def _guarantees_entry(found: Sequence[GuaranteedMethod]) -> dict[str, Any]:
    from hybrid_nas.routing.document import guarantee_documents

    return {"guarantees": guarantee_documents(found)} if found else {}
