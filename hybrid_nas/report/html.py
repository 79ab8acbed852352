"""The report as one HTML page: plots, style and script inside, nothing fetched, text escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hybrid_nas import __version__
from hybrid_nas.report import provenance, words
from hybrid_nas.report.architecture import stages
from hybrid_nas.report.columns import cost_columns
from hybrid_nas.report.documents import Run
from hybrid_nas.report.front import Front
from hybrid_nas.report.style import palette_css
from hybrid_nas.report.verdict import ORACLE, best_rival, verdict

_METHOD_ORDER = ("entropy", "msp", "margin")
_UNITS = re.compile(r"(?<=\d) (?=(?:%|ms|s|B|KB|MB|GB|M|k|px)(?!\w))|(?<=%) (?=±)|(?<=±) ")
_FLAG = re.compile(r"(?<![^\s(])--[a-z][a-z-]*")


def render_html(
    run: Run,
    plots: Mapping[str, str],
    pair_curves: Mapping[int, str],
    arenas: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """The page of a run.

    Args:
        run: its documents; every text in them is escaped.
        plots: SVG elements by the names of `hybrid_nas.report.plots.PLOTS`; some may be absent.
        pair_curves: SVG element of each pair's curves, by pair id.
        arenas: SVG element of each pair's arena, by pair id.
    """
    front = run.front
    style = _asset("report.css").replace("/* palette-light */", palette_css(dark=False))
    style = style.replace("/* palette-dark */", palette_css(dark=True))
    script = _asset("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            front=front,
            target=front.target,
            best=front.best,
            verdict=verdict(front),
            methods=_methods(front),
            latency_kinds=sorted({pair.cost.edge_latency_is for pair in front.pairs} - {""}),
            columns=cost_columns(front),
            asked=words.question(front),
            in_regime=front.question.regime != "coverage",
            known={column.name for column in cost_columns(front)},
            plots={name: Markup(svg) for name, svg in plots.items()},
            pair_curves={number: Markup(svg) for number, svg in pair_curves.items()},
            arenas={number: Markup(svg) for number, svg in arenas.items()},
            tables=provenance.fact_tables(run.settings),
            warnings=(*provenance.texts(run.settings, "warnings"), *run.missing),
            notes=provenance.texts(run.settings, "notes"),
            latency_note=provenance.latency_note(run),
            reserve=provenance.reserve_note(run),
            effort=provenance.effort(run),
            style=Markup(style),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            version=__version__,
        )
    )


def _methods(front: Front) -> tuple[str, ...]:
    """Baselines that any pair has, the known ones first and the oracle last."""
    found = {name for pair in front.pairs for name in pair.baselines}
    rest = sorted(found - {*_METHOD_ORDER, ORACLE})
    known = [name for name in _METHOD_ORDER if name in found]
    return (*known, *rest, *([ORACLE] if ORACLE in found else []))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hybrid_nas.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": words.percent,
        "accuracy": words.accuracy,
        "bare": words.bare_accuracy,
        "scaled": words.scaled,
        "points": words.points,
        "coverage": words.coverage,
        "count": words.count,
        "size": words.size,
        "time": words.time,
        "energy": words.energy,
        "significant": words.significant,
        "method": words.method,
        "network": words.network,
        "latency_kind": words.latency_kind,
        "tight": _tight,
    }
    environment.globals |= {
        "stages": stages,
        "best_rival": best_rival,
        "fit": words.fit,
        "ORACLE": ORACLE,
    }
    return environment


def _asset(name: str) -> str:
    return (files("hybrid_nas.report") / "templates" / name).read_text(encoding="utf-8")


def _tight(text: str) -> Markup:
    """`text` escaped, with no line break between a number and its unit or inside a ``--flag``."""
    safe = str(escape(_UNITS.sub("\N{NO-BREAK SPACE}", text)))
    return Markup(_FLAG.sub(r"<code>\g<0></code>", safe))
