"""The tables of ``hybrid-nas route``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hybrid_nas.cli.output import make_table
from hybrid_nas.routing.costs import ENERGY, LATENCY, PRICE
from hybrid_nas.routing.rewards import ACCURACY, UTILITY
from hybrid_nas.routing.unseen import SELECTED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hybrid_nas.routing.abstaining import AbstainingAnalysis
    from hybrid_nas.routing.clouds import JudgedCloud
    from hybrid_nas.routing.guarantees.after_selection import GuaranteedMethod
    from hybrid_nas.routing.results import Figures, MethodAtCoverage, RouteAnalysis

_MEANS = {
    LATENCY: "mean ms",
    PRICE: "mean price",
    ENERGY: "mean mJ",
    "recall": "recall",
    "false_alarm_rate": "false alarms",
    "accuracy_with_timeouts": "with timeouts",
}
_SHARES = ("recall", "false_alarm_rate", "accuracy_with_timeouts")


def method_table(analysis: RouteAnalysis) -> Table:
    """A row for each method, columns for each coverage."""
    rows = {
        f"{method} (default)" if method == analysis.default else method: by_coverage
        for method, by_coverage in analysis.methods.items()
    }
    grouped = "" if analysis.n_groups == analysis.n else f" in {analysis.n_groups} groups"
    worth = "" if analysis.measure == ACCURACY else f"; figures: {analysis.measure}"
    title = (
        f"{analysis.n} inputs{grouped}, base {_value(analysis, analysis.base_worth.value)}, "
        f"cloud {_value(analysis, analysis.cloud_worth.value)}; {analysis.design} routers, "
        f"{analysis.repeats} x {analysis.folds}-fold cross-validation{worth}"
    )
    return _by_coverage(analysis, "method", rows, title)


def design_table(analysis: RouteAnalysis) -> Table:
    """A row for each design, with its cost on the device."""
    rows = {
        f"{one.kind} ({one.params} parameters, {one.flash_bytes} bytes, {one.macs} MACs)": one.at
        for one in analysis.designs
    }
    return _by_coverage(analysis, "design", rows, "The signed gain of every design")


def target_table(analysis: RouteAnalysis) -> Table:
    """A row for each target."""
    measure = "accuracy" if analysis.measure == ACCURACY else "utility"
    means = list(analysis.targets[0].means)
    columns = ["target", "queries", "kept", measure, "95 % interval"]
    columns += [_MEANS.get(name, name) for name in means] + ["threshold"]
    rows = []
    for one in analysis.targets:
        bound = "at most" if one.is_cost else "at least"
        low, high = (_number(analysis, end) for end in (one.worth.low, one.worth.high))
        rows.append(
            [
                f"{one.name} {bound} {one.level:g}",
                f"{1.0 - one.coverage:.3f}",
                f"{one.coverage:.3f}",
                _with_error(analysis, one),
                f"{low} to {high}",
                *(_mean(name, one.means[name]) for name in means),
                f"{one.threshold:.6g}",
            ]
        )
    title = f"Targets, with {analysis.default}: what its thresholds gave on unseen inputs"
    return make_table(columns, rows, title=title, numeric=columns[1:])


def cloud_table(judged: Sequence[JudgedCloud], chosen: int) -> Table:
    """A row for each cloud."""
    first = judged[0].analysis
    priced = all(
        PRICE in at.means for one in judged for at in one.analysis.methods[SELECTED].values()
    )
    columns = ["cloud", "alone"]
    for c in first.coverages:
        columns += [f"hybrid at {c:g}", *(["mean price"] if priced else [])]
    rows = []
    for index, one in enumerate(judged):
        name = one.outputs.source + (" (chosen)" if index == chosen else "")
        row = [name, _value(one.analysis, one.analysis.cloud_worth.value)]
        for at in one.analysis.methods[SELECTED].values():
            row.append(_with_error(one.analysis, at))
            if priced:
                row.append(_mean(PRICE, at.means[PRICE]))
        rows.append(row)
    return make_table(columns, rows, title="Clouds, with the best method", numeric=columns[1:])


def abstaining_table(analysis: AbstainingAnalysis) -> Table:
    """A row for each method of a base without a cloud."""
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


def print_guarantees(out: Console, found: Sequence[GuaranteedMethod]) -> None:
    """A row for each guarantee, and what each one says."""
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


def _by_coverage(
    analysis: RouteAnalysis,
    what: str,
    methods: Mapping[str, Mapping[float, MethodAtCoverage]],
    title: str,
) -> Table:
    measure = "accuracy" if analysis.measure == ACCURACY else "utility"
    means = list(next(iter(methods[next(iter(methods))].values())).means)
    columns = [what]
    for coverage in analysis.coverages:
        columns += [f"{measure} at {coverage:g}", "kept", *(_MEANS.get(n, n) for n in means)]
    rows = []
    for name, by_coverage in methods.items():
        row = [name]
        for at in by_coverage.values():
            row += [_with_error(analysis, at), f"{at.coverage:.3f}"]
            row += [_mean(name, at.means[name]) for name in means]
        rows.append(row)
    return make_table(columns, rows, title=title, numeric=columns[1:])


def _with_error(analysis: RouteAnalysis, at: Figures) -> str:
    return f"{_number(analysis, at.worth.value)} ± {_number(analysis, at.worth_stderr)}"


def _number(analysis: RouteAnalysis, value: float) -> str:
    return f"{value:.4g}" if analysis.measure == UTILITY else f"{100 * value:.2f}"


def _value(analysis: RouteAnalysis, value: float) -> str:
    return _number(analysis, value) + ("" if analysis.measure == UTILITY else " %")


def _mean(name: str, value: float) -> str:
    if name == LATENCY:
        return f"{value:.0f}"
    return f"{100 * value:.2f}" if name in _SHARES else f"{value:.4g}"
