"""What a search under a budget, or with priced queries, prints below the front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hybrid_nas.cli.output import make_table
from hybrid_nas.report.words import coverage, percent
from hybrid_nas.units import format_ms

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.search.settings import SearchSettings

Figures = Mapping[str, Any]
_DASH = "–"


def render_answer(console: Console, document: Figures, settings: SearchSettings) -> None:
    """Print where each pair of ``pareto.json`` would be run, and the answer to what was asked.

    Nothing is printed for the default search, whose table says it all.
    """
    pairs: Sequence[Figures] = document["pairs"]
    if not pairs or (settings.regime == "coverage" and not _has_prices(pairs[0], settings)):
        return
    console.print()
    console.print(f"{_title(settings)}, test split", style="bold", markup=False)
    shown = [(pair, _working(pair, settings)) for pair in pairs]
    columns = [c for c in _COLUMNS if any(c[2](at) != _DASH for _, at in shown)]
    names = ["pair", *(f"{name}\n{unit}" for name, unit, _ in columns)]
    rows = [[pair["id"], *(cell(at) for _, _, cell in columns)] for pair, at in shown]
    console.print(make_table(names, rows, numeric=names))
    for line in _notes(settings):
        console.print(line, markup=False, soft_wrap=True)
    if settings.regime != "coverage":
        console.print(_answer(pairs, settings), markup=False, soft_wrap=True)


def answer_pair(pairs: Sequence[Figures], settings: SearchSettings) -> Figures | None:
    """The pair that answers the question, chosen by the score split; None if none does.

    Under a budget it is the first, the most accurate. Under a bound on the loss it is the first
    that kept the bound on the score split too, whose threshold comes from other data.
    """
    limit = settings.max_loss_share
    if limit is None:
        return pairs[0] if pairs else None
    kept = (pair for pair in pairs if pair["point"]["score"]["loss"] <= limit)
    return next(kept, None)


def _answer(pairs: Sequence[Figures], settings: SearchSettings) -> str:
    pair = answer_pair(pairs, settings)
    if pair is None:
        least = min(pairs, key=lambda one: float(one["point"]["score"]["loss"]))
        return (
            f"No pair of the front kept the bound on the score split as well; the nearest is pair "
            f"{least['id']}, {100 * least['point']['score']['loss']:.2f} points below "
            f"{_measure(settings)} there. More --trials, a larger --max-loss or more data may help."
        )
    at, score = pair["point"]["test"], pair["point"]["score"]
    loss = f"{abs(100 * at['loss']):.1f} ± {100 * at['loss_stderr']:.1f} points"
    side = "below" if at["loss"] >= 0 else "above"
    chosen_at, mean_ms = percent(score["accuracy"]), at["mean_latency_ms"]
    takes = "" if mean_ms is None else f"takes {format_ms(mean_ms)} on average "  # without a table
    return (
        f"Pair {pair['id']}: it asks the cloud for {percent(1 - at['coverage'])} of the inputs, "
        f"{takes}and reaches "
        f"{percent(at['accuracy'])} ± {100 * at['stderr']:.1f} on the test split, {loss} {side} "
        f"{_measure(settings)} alone (score split, on which it was chosen: {chosen_at})."
    )


def _title(settings: SearchSettings) -> str:
    asked = []
    if settings.mean_latency_ms is not None:
        asked.append(f"a mean latency of {format_ms(settings.mean_latency_ms)}")
    if settings.mean_energy_mj is not None:
        asked.append(f"a mean energy of {settings.mean_energy_mj:g} mJ")
    if asked:
        return f"At {' and '.join(asked)}"
    if settings.max_loss is not None:
        return f"At most {settings.max_loss:g} points below {_measure(settings)} alone"
    return f"At {coverage(settings.target_coverage)} coverage"


def _measure(settings: SearchSettings) -> str:
    """What losses are against."""
    return "the cloud" if settings.search_cloud is None else "the largest cloud"


def _notes(settings: SearchSettings) -> list[str]:
    """What stands behind the figures, a sentence each."""
    notes = []
    query = settings.query
    if query is not None and settings.uplink is not None:
        on_time = query.availability
        answered = "" if on_time == 1 else f", {percent(on_time)} answered in time"
        energy = "" if query.energy_mj is None else f", {query.energy_mj:.3g} mJ"
        notes.append(
            f"A query over {query.uplink.name}: {query.payload_bytes:,} bytes, "
            f"{format_ms(query.mean_ms)} on average, {format_ms(query.quantile_ms(0.95))} for "
            f"95 %{answered}{energy} (estimated from the uplink's figures)."
        )
    on_device = settings.on_device
    if on_device is not None:
        notes.append(
            f"Both networks on the device: the second takes {format_ms(on_device.latency_ms)} and "
            f"{on_device.flash_bytes / 1024:.0f} KB of flash; SRAM is the larger of the two."
        )
    if settings.chosen_on_device:
        notes.append(
            "Both networks on the device: flash is of both, SRAM the larger, a query takes the "
            "second one's time."
        )
    if settings.power_mw is not None:
        notes.append(f"Energy is estimated: {settings.power_mw:g} mW while a network runs.")
    return notes


def _has_prices(pair: Figures, settings: SearchSettings) -> bool:
    return len(_working(pair, settings)) > len(("accuracy", "stderr", "coverage", "mean"))


def _working(pair: Figures, settings: SearchSettings) -> Figures:
    if "point" in pair:
        at: Figures = pair["point"]["test"]
        return at
    target: Figures = pair["test"][format(settings.target_coverage, "g")]
    return target


def _number(key: str, scale: float = 1.0, digits: str = ".1f") -> Callable[[Figures], str]:
    def cell(at: Figures) -> str:
        value = at.get(key)
        return _DASH if value is None else format(value * scale, digits)

    return cell


def _with_error(key: str, error: str) -> Callable[[Figures], str]:
    def cell(at: Figures) -> str:
        if at.get(key) is None:
            return _DASH
        return f"{100 * at[key]:.1f} ± {100 * at[error]:.1f}"

    return cell


_COLUMNS: tuple[tuple[str, str, Callable[[Figures], str]], ...] = (
    ("queries", "%", lambda at: f"{100 * (1 - at['coverage']):.1f}"),
    ("accuracy", "%", _with_error("accuracy", "stderr")),
    ("with timeouts", "%", _number("accuracy_with_timeouts", 100)),
    ("below cloud", "points", _with_error("loss", "loss_stderr")),
    ("mean", "ms", _number("mean_latency_ms")),
    ("p95", "ms", _number("p95_latency_ms")),
    ("MACs", "M", _number("mean_macs", 1e-6, ".2f")),
    ("energy", "mJ", _number("mean_energy_mj", 1, ".3g")),
    ("charge", "days", _number("battery_days", 1, ".3g")),
)
