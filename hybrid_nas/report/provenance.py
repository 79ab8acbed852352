"""Where a run's numbers come from: settings, versions, seeds and hashes as tables of text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from hybrid_nas.report import words
from hybrid_nas.report.documents import Run
from hybrid_nas.report.fields import finite
from hybrid_nas.units import describe_bytes

_PASSWORD = re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@")
_LISTED_APART = ("warnings", "notes", "schema")


@dataclass(frozen=True)
class FactTable:
    """A titled list of names and values."""

    title: str
    rows: tuple[tuple[str, str], ...]


def fact_tables(settings: Mapping[str, Any]) -> tuple[FactTable, ...]:
    """``run.yaml`` as tables: its plain values first, then one table per section."""
    plain = tuple(
        (name.replace("_", " "), _text(name, value))
        for name, value in settings.items()
        if name not in _LISTED_APART and not isinstance(value, Mapping)
    )
    sections = tuple(
        FactTable(name.replace("_", " "), tuple(_flat(value)))
        for name, value in settings.items()
        if name not in _LISTED_APART and isinstance(value, Mapping) and value
    )
    return (FactTable("run", plain), *sections) if plain else sections


def texts(settings: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The texts under `key` of ``run.yaml``: a list of them, one alone, or none."""
    value = settings.get(key)
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    return tuple(hide_passwords(str(item)) for item in items)


def hide_passwords(text: str) -> str:
    """`text` with the passwords of database addresses left out: reports are passed on.

    >>> hide_passwords("postgresql://ann:secret@host/db")
    'postgresql://ann:***@host/db'
    """
    return _PASSWORD.sub(r"\1:***@", text)


def reserve_note(run: Run) -> str:
    """How much of the board is kept for radio stack and application, in a sentence."""
    limits = run.front.limits
    sram = _reserve(run, limits.reserve_sram_bytes, "reserve_sram")
    flash = _reserve(run, limits.reserve_flash_bytes, "reserve_flash")
    if sram is None or flash is None:
        return (
            "This run does not say how much SRAM and flash were reserved for radio stack and "
            "application."
        )
    if sram == 0 and flash == 0:
        return (
            "The radio stack and application reserve is 0 B: a product needs some of the SRAM "
            "and flash shown as spare. Search again with --reserve-sram and --reserve-flash."
        )
    return (
        f"The radio stack and application reserve is {words.size(sram)} of SRAM and "
        f"{words.size(flash)} of flash, counted in what a pair takes."
    )


def latency_note(run: Run) -> str:
    """Whose latencies these are and how far off, in sentences; empty when not known."""
    latency = run.settings.get("latency")
    if not isinstance(latency, Mapping) or not latency.get("table"):
        return ""
    text = f"Table {latency['table']}: {latency.get('runtime')} on {latency.get('board')}"
    text += f", {latency.get('source')}."
    mean, worst = finite(latency.get("mean_error")), finite(latency.get("worst_error"))
    if mean is None or worst is None:
        return hide_passwords(text + " It was never compared with whole networks.")
    return hide_passwords(
        f"{text} On whole networks it is off by {words.percent(mean)} on average and "
        f"{words.percent(worst)} at worst ({latency.get('error_of')})."
    )


def effort(run: Run) -> str:
    """How many candidates were scored and what one cost, in a sentence; empty when not known."""
    if not run.trials:
        return ""
    text = f"{len(run.trials)} candidates were scored"
    totals = [trial.total_seconds for trial in run.trials if trial.total_seconds is not None]
    routers = [trial.router_seconds for trial in run.trials if trial.router_seconds is not None]
    if totals:
        text += f", {median(totals):.2g} s each (median)"
    if totals and routers and sum(totals) > 0:
        text += f", {100 * sum(routers) / sum(totals):.2g} % of it to fit the router"
    return text + "."


def _reserve(run: Run, stated: int | None, name: str) -> int | None:
    """From the limits, or else from the settings under one of the names it goes by."""
    if stated is not None:
        return stated
    settings = run.settings.get("settings")
    if not isinstance(settings, Mapping):
        settings = run.settings
    found = finite(settings.get(f"{name}_bytes", settings.get(name)))
    return None if found is None else int(found)


def _flat(section: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in section.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name.replace("_", " "), _text(str(key), value)))
    return rows


def _text(name: str, value: object) -> str:
    if value is None or value == {} or value == []:
        return words.DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_bytes"):
        return describe_bytes(value)
    if isinstance(value, list):
        return ", ".join(hide_passwords(str(item)) for item in value)
    return hide_passwords(str(value))
