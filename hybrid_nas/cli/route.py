"""``hybrid-nas route``: is a hybrid worth it for two given models, and by how much?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_nas.cli.multivalue import parse_coverages
from hybrid_nas.cli.options import time_option
from hybrid_nas.cli.output import console, emit_json, make_table

if TYPE_CHECKING:
    from rich.table import Table

    from hybrid_nas.routing.analysis import RouteAnalysis
    from hybrid_nas.routing.document import LatencyTerms

DEFAULT_COVERAGES = (0.9, 0.7, 0.5)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("route")
    def route(
        base: Annotated[
            Path, typer.Option("--base", help="Outputs (.npz) of the model on the device.")
        ],
        cloud: Annotated[
            Path, typer.Option("--cloud", help="Outputs (.npz) of the model in the cloud.")
        ],
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
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Judge a hybrid of two models from their outputs on the same labelled inputs.

        An outputs file has `labels`; `logits`, `probs`, or `pred` and `confidence`; and, if there
        are any, `features` and `groups`. For the cloud, `pred` alone is enough.
        """
        coverages = parse_coverages(coverage or [], DEFAULT_COVERAGES)

        from hybrid_nas import routing
        from hybrid_nas.routing.analysis import analyse
        from hybrid_nas.routing.document import LatencyTerms, route_document
        from hybrid_nas.routing.verdict import judge

        analysis = analyse(
            routing.load_outputs(base),
            routing.load_outputs(cloud),
            coverages,
            design=None if design is None else routing.design(design),
            folds=folds,
            repeats=repeats,
            seed=seed,
        )
        verdict = judge(analysis)
        times = (base_ms, uplink_ms, cloud_ms)
        latency = None
        if any(time is not None for time in times):
            latency = LatencyTerms(*(time or 0.0 for time in times))
        if json:
            emit_json(route_document(analysis, verdict, latency))
            return
        out = console(json=False)
        out.print(_table(analysis, latency))
        out.print(f"{verdict.hybrid}\n{verdict.router}", markup=False)


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
