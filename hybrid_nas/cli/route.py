"""``hybrid-nas route``: is a hybrid worth it for two given models, and by how much?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.multivalue import parse_coverages
from hybrid_nas.cli.options import time_option
from hybrid_nas.cli.output import console, emit_json, make_table
from hybrid_nas.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hybrid_nas.routing.abstaining import AbstainingAnalysis
    from hybrid_nas.routing.analysis import RouteAnalysis
    from hybrid_nas.routing.document import LatencyTerms
    from hybrid_nas.routing.guarantees.after_selection import GuaranteedMethod

DEFAULT_COVERAGES = (0.9, 0.7, 0.5)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("route")
    def route(
        base: Annotated[
            Path, typer.Option("--base", help="Outputs (.npz) of the model on the device.")
        ],
        cloud: Annotated[
            Path | None, typer.Option("--cloud", help="Outputs (.npz) of the model in the cloud.")
        ] = None,
        no_cloud: Annotated[
            bool,
            typer.Option("--no-cloud", help="Judge the base alone, on the inputs that it keeps."),
        ] = False,
        coverage: Annotated[
            list[str] | None,
            typer.Option(
                "--coverage",
                metavar="SHARE...",
                help="Shares of the inputs to keep on the device, such as 0.9 0.7.",
            ),
        ] = None,
        design: Annotated[
            str | None,
            typer.Option("--router", help="Router design; by default what the outputs allow."),
        ] = None,
        folds: Annotated[int, typer.Option("--folds", help="Folds of cross-validation.")] = 5,
        repeats: Annotated[
            int | None,
            typer.Option("--repeats", min=1, help="How often folds are drawn; by default by size."),
        ] = None,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all that is drawn.")] = 0,
        base_ms: Annotated[
            float | None,
            time_option("--base-ms", help="Time on the device, for mean latency.", allow_zero=True),
        ] = None,
        uplink_ms: Annotated[
            float | None, time_option("--uplink-ms", help="Time of the uplink.", allow_zero=True)
        ] = None,
        cloud_ms: Annotated[
            float | None, time_option("--cloud-ms", help="Time in the cloud.", allow_zero=True)
        ] = None,
        guarantee: Annotated[
            list[str] | None,
            typer.Option(
                "--guarantee",
                metavar="PROMISE",
                help="A promise to find a threshold for, quoted: 'loss<=0.01@0.95', "
                "'queries<=0.3', 'accuracy>=0.95@0.95', 'risk<=0.05@0.95'. May be repeated.",
            ),
        ] = None,
        calibration_share: Annotated[
            float,
            typer.Option(
                "--calibration-share",
                help="With --guarantee: share of the inputs, or groups, set aside for calibration.",
            ),
        ] = 0.3,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Judge a hybrid of two models from their outputs on the same labelled inputs.

        An outputs file has `labels`; `logits`, `probs`, or `pred` and `confidence`; and, if there
        are any, `features` and `groups`. For the cloud, `pred` alone is enough.
        """
        coverages = parse_coverages(coverage or [], DEFAULT_COVERAGES)
        if (cloud is None) != no_cloud:
            raise InputError(
                "expected either --cloud FILE, or --no-cloud to judge the base as one that abstains"
            )

        from hybrid_nas import routing
        from hybrid_nas.routing.abstaining import analyse_abstaining
        from hybrid_nas.routing.analysis import analyse
        from hybrid_nas.routing.document import (
            LatencyTerms,
            abstaining_document,
            route_document,
        )
        from hybrid_nas.routing.guarantees import parse_promise
        from hybrid_nas.routing.guarantees.after_selection import guarantee_selection, split_outputs
        from hybrid_nas.routing.verdict import judge

        promises = [parse_promise(text) for text in guarantee or []]
        shape = None if design is None else routing.design(design)
        device = routing.load_outputs(base)
        remote = None if cloud is None else routing.load_outputs(cloud)
        parts = split_outputs(device, remote, promises, calibration_share, seed)
        out = console(json=json)
        if parts.cloud is None:
            alone = analyse_abstaining(parts.base, coverages, design=shape, seed=seed)
            found = guarantee_selection(promises, parts, alone.selection, alone.design)
            if json:
                emit_json(abstaining_document(alone) | _guarantees_entry(found))
                return
            out.print(_abstaining_table(alone))
            _print_guarantees(out, found)
            return
        analysis = analyse(
            parts.base,
            parts.cloud,
            coverages,
            design=shape,
            folds=folds,
            repeats=repeats,
            seed=seed,
        )
        found = guarantee_selection(promises, parts, analysis.selection, analysis.design)
        verdict = judge(analysis)
        times = (base_ms, uplink_ms, cloud_ms)
        latency = None
        if any(time is not None for time in times):
            latency = LatencyTerms(*(time or 0.0 for time in times))
        if json:
            emit_json(route_document(analysis, verdict, latency) | _guarantees_entry(found))
            return
        out.print(_table(analysis, latency))
        out.print(f"{verdict.hybrid}\n{verdict.router}", markup=False)
        _print_guarantees(out, found)


def _table(analysis: RouteAnalysis, latency: LatencyTerms | None) -> Table:
    columns = ["method"]
    for coverage in analysis.coverages:
        columns += [f"accuracy at {coverage:g}", "kept"]
        if latency is not None:
            columns.append("mean ms")
    rows = []
    for method, by_coverage in analysis.methods.items():
        row: list[str] = [f"{method} (default)" if method == analysis.default else method]
        for at in by_coverage.values():
            row += [f"{100 * at.accuracy:.2f} ± {100 * at.stderr:.2f}", f"{at.coverage:.3f}"]
            if latency is not None:
                row.append(f"{latency.mean_ms(at.coverage):.0f}")
        rows.append(row)
    grouped = "" if analysis.n_groups == analysis.n else f" in {analysis.n_groups} groups"
    title = (
        f"{analysis.n} inputs{grouped}, base {100 * analysis.base.value:.2f} %, "
        f"cloud {100 * analysis.cloud.value:.2f} %; {analysis.design} routers, "
        f"{analysis.repeats} x {analysis.folds}-fold cross-validation"
    )
    return make_table(columns, rows, title=title, numeric=columns[1:])


def _abstaining_table(analysis: AbstainingAnalysis) -> Table:
    columns = ["method"]
    for coverage in analysis.coverages:
        columns += [f"right of the kept at {coverage:g}", "kept"]
    rows = []
    for method, by_coverage in analysis.methods.items():
        row = [f"{method} (default)" if method == analysis.default else method]
        for at in by_coverage.values():
            row += [f"{100 * at.accuracy:.2f} ± {100 * at.stderr:.2f}", f"{at.coverage:.3f}"]
        rows.append(row)
    grouped = "" if analysis.n_groups == analysis.n else f" in {analysis.n_groups} groups"
    title = (
        f"{analysis.n} inputs{grouped}, no cloud, base {100 * analysis.base.value:.2f} %; "
        f"{analysis.design} router, out of fold"
    )
    return make_table(columns, rows, title=title, numeric=columns[1:])


def _guarantees_entry(found: Sequence[GuaranteedMethod]) -> dict[str, Any]:
    from hybrid_nas.routing.document import guarantee_documents

    return {"guarantees": guarantee_documents(found)} if found else {}


def _print_guarantees(out: Console, found: Sequence[GuaranteedMethod]) -> None:
    if not found:
        return
    columns = ["guarantee", "threshold", "found", "proved", "kept", "accuracy", "calibrated by"]
    rows = [
        [
            one.guarantee.promise.text,
            f"{one.guarantee.threshold:.6g}",
            f"{one.guarantee.value:.4f}",
            f"{one.guarantee.bound:.4f}",
            f"{one.coverage:.3f}",
            f"{100 * one.accuracy.value:.2f} ± {100 * one.accuracy.stderr:.2f}",
            one.guarantee.method,
        ]
        for one in found
    ]
    title = (
        f"Guarantees for {found[0].method}; found and proved: the promised figure on inputs set "
        f"aside for calibration; kept and accuracy: on the {found[0].n} others, out of fold"
    )
    out.print(make_table(columns, rows, title=title, numeric=columns[1:-1]))
    for one in found:
        out.print(f"{one.guarantee.promise.text}: {one.guarantee.reading}", markup=False)
