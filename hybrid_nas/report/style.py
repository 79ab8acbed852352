"""How every plot looks: one palette, one figure factory, and the two forms a figure is saved in.

Colours are Okabe and Ito's, which people with any common colour blindness tell apart; line styles
and markers differ as well. In the page the same SVG serves light and dark: each colour of the
palette is replaced by a CSS variable, and `palette_css` gives the variables their two values.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# role: (on white, on dark)
PALETTE = {
    "paper": ("#fefefe", "#15191f"),
    "ink": ("#1c2128", "#e3e7ec"),
    "muted": ("#5c6570", "#9aa4b0"),
    "grid": ("#dfe3e8", "#2c343e"),
    "candidate": ("#9aa1aa", "#77818d"),
    "router": ("#0072b2", "#56b4e9"),
    "test": ("#d55e00", "#ee7a2b"),
    "entropy": ("#e69f00", "#f4c552"),
    "msp": ("#009e73", "#2cc79b"),
    "margin": ("#cc79a7", "#eba9d2"),
    "oracle": ("#59626c", "#818b97"),
    "other": ("#8a6d3b", "#c2a878"),
}
WIDTH_INCHES = 6.2
PNG_DPI = 160

_RC: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so PNGs are the same everywhere
    "font.size": 9.5,
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.unicode_minus": True,
}
_STYLE_ATTRIBUTE = re.compile(r'style="[^"]*"')
_COORDINATES = re.compile(r' (?:d|x|y|transform)="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
"""What follows a hundredth of a point."""
_FONT_FAMILY = re.compile(r"(font: [^;\"]*?)'DejaVu Sans'[^;\"]*")


def color(role: str) -> str:
    """The colour of a role on white paper; unknown roles (methods of other versions) share one."""
    return PALETTE.get(role, PALETTE["other"])[0]


@contextmanager
def plot_style(name: str) -> Iterator[None]:
    """matplotlib settings to draw and to save under; `name` keeps ids of different plots apart."""
    with matplotlib.rc_context({**_RC, "svg.hashsalt": name}), warnings.catch_warnings():
        # A name in another script is drawn as boxes in the PNG; the page shows it as it is.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """An empty figure on paper colour that lays itself out."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    figure.set_facecolor(color("paper"))
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    return figure


def dress(axes: Axes, title: str = "", x: str = "", y: str = "", grid: str = "both") -> Axes:
    """Give `axes` our look: title on the left, quiet frame, grid along `grid` (x, y or both)."""
    axes.set_facecolor(color("paper"))
    axes.set_axisbelow(True)
    axes.grid(True, axis=grid, color=color("grid"), linewidth=0.8)  # type: ignore[arg-type]
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(color("muted"))
        spine.set_linewidth(0.8)
    axes.tick_params(colors=color("muted"), labelcolor=color("ink"), length=3, width=0.8)
    if title:
        axes.set_title(
            title, loc="left", color=color("ink"), fontsize=10.5, fontweight="bold", pad=9
        )
    axes.set_xlabel(x, color=color("ink"))
    axes.set_ylabel(y, color=color("ink"))
    return axes


def settle(figure: Figure) -> Figure:
    """Lay `figure` out now and keep it so: what is saved later need not compute it again."""
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # not "none", for whose placeholder every saving draws twice
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def svg_text(figure: Figure) -> str:
    """The figure as an ``<svg>`` element for an HTML page, coloured by CSS variables."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", dpi=PNG_DPI, metadata=nothing)  # dpi of what is a raster
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # no XML declaration and no document type inside HTML
    # A style element inside an SVG would reach the whole page.
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)  # HTML knows both
    svg = svg.replace(' target="_blank"', "")  # links lead to places on the same page
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # the same in every plot, and nothing refers to it
    svg = _COORDINATES.sub(lambda match: _DECIMALS.sub(r"\1", match[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    return _STYLE_ATTRIBUTE.sub(lambda match: _themed(match[0]), svg).strip()


def palette_css(dark: bool) -> str:
    """CSS declarations of the palette's variables: ``--plot-ink: #1c2128; ...``."""
    return " ".join(f"--plot-{role}: {pair[dark]};" for role, pair in PALETTE.items())


def _themed(style: str) -> str:
    for role, (light, _) in PALETTE.items():
        style = style.replace(light, f"var(--plot-{role})")
    return _FONT_FAMILY.sub(r"\1var(--sans)", style)


def measured_mark() -> dict[str, Any]:
    """How a figure of the test split with its interval is drawn: arguments of ``errorbar``."""
    return {
        "fmt": "D",
        "markersize": 5,
        "color": color("test"),
        "markerfacecolor": color("paper"),
        "markeredgewidth": 1.3,
        "capsize": 2,
        "linewidth": 1.1,
        "zorder": 5,
    }
