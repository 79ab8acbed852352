"""Plots: the right numbers in the right places, and colours that everybody can tell apart."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from hybrid_nas.report.documents import Run, read_run
from hybrid_nas.report.front import Objective
from hybrid_nas.report.plot_costs import draw_latency, draw_memory
from hybrid_nas.report.plot_curves import MOST_PANELS, draw_all_curves, draw_curve
from hybrid_nas.report.plot_pareto import MOST_CIRCLES, draw_pareto
from hybrid_nas.report.plot_search import draw_hypervolume
from hybrid_nas.report.plots import PLOTS, draw_plots
from hybrid_nas.report.read_front import read_front
from hybrid_nas.report.style import PALETTE, plot_style, svg_text
from hybrid_nas.typing import FloatArray
from tests.report.example_run import ask, make_run

# Machado, Oliveira, Fernandes: "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009; severity 1.0, in linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


@pytest.fixture(scope="module")
def run(run_dir: Path) -> Run:
    return read_run(run_dir)


def points(figure: Figure, label: str) -> FloatArray:
    """Positions of the scattered points whose legend entry starts with `label`."""
    found = [
        np.asarray(artist.get_offsets())
        for artist in figure.axes[0].collections
        if isinstance(artist, PathCollection) and str(artist.get_label()).startswith(label)
    ]
    return found[0] if found else np.empty((0, 2))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def bar_ends(axes_number: int, figure: Figure) -> list[float]:
    bars = [patch for patch in figure.axes[axes_number].patches if isinstance(patch, Rectangle)]
    return [bar.get_x() + bar.get_width() for bar in bars]


def test_pareto_plot_shows_every_candidate_and_both_splits(run: Run) -> None:
    figure = draw_pareto(run)
    assert figure is not None
    candidates = [
        (t.measures["mean_latency_ms"], 100 * t.measures["accuracy@0.7"]) for t in run.trials
    ]
    np.testing.assert_allclose(points(figure, "candidates"), candidates)
    for split in ("score", "test"):
        results = [pair.at("0.7", split) for pair in run.front.pairs]  # type: ignore[arg-type]
        expected = [(r.mean_latency_ms, 100 * (r.accuracy or 0)) for r in results]
        np.testing.assert_allclose(points(figure, f"front, {split}"), expected)
    assert {str(pair.id) for pair in run.front.pairs} <= set(texts(figure))
    assert any(text.startswith("cloud alone: 97.2 %, 2000 ms") for text in texts(figure))


def test_front_members_are_never_outside_and_the_rest_is_counted(run: Run) -> None:
    figure = draw_pareto(run)
    assert figure is not None
    (left, right), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    for split in ("score", "test"):
        x, y = points(figure, f"front, {split}").T
        assert np.all((x > left) & (x < right) & (y > bottom) & (y < top))
    x, y = points(figure, "candidates").T
    hidden = int(((y < bottom) | (x > right)).sum())
    counted = [int(text.split()[0]) for text in texts(figure) if "outside this range" in text]
    assert counted == ([hidden] if hidden else [])


def test_other_objectives_make_other_axes(run: Run) -> None:
    objectives = (Objective("sram_bytes", False), Objective("accuracy@0.9", True))
    figure = draw_pareto(replace(run, front=replace(run.front, objectives=objectives)))
    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_xlabel() == "SRAM (KB)"
    assert axes.get_ylabel() == "hybrid accuracy at 90 % coverage (%)"
    expected = [
        ((p.cost.sram_bytes or 0) / 1024, 100 * (p.at("0.9", "score").accuracy or 0))
        for p in run.front.pairs
    ]
    np.testing.assert_allclose(points(figure, "front, score"), expected)


def test_without_latency_the_front_is_drawn_over_memory(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", pairs=2, trials=5, latency=False))
    figure = draw_pareto(run)
    assert figure is not None and figure.axes[0].get_xlabel() == "SRAM (KB)"
    assert draw_latency(run) is None


def test_nothing_scored_gives_no_plot(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", pairs=0, trials=0))
    assert draw_plots(run) == {}


def test_memory_bars_end_at_the_bytes_and_limits_are_lines(run: Run) -> None:
    figure = draw_memory(run)
    assert figure is not None
    sram = [(pair.cost.sram_bytes or 0) / 1024 for pair in run.front.pairs]
    flash = [(pair.cost.flash_bytes or 0) / 1024 for pair in run.front.pairs]
    np.testing.assert_allclose(bar_ends(0, figure), sram)
    np.testing.assert_allclose(bar_ends(1, figure)[-len(flash) :], flash)
    assert {"limit 96 KB", "limit 1 MB"} <= set(texts(figure))


def test_latency_bars_add_up_to_the_mean(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", pairs=3, trials=9, latency_limit_ms=90.0))
    figure = draw_latency(run)
    assert figure is not None
    means = [pair.at("0.7", "test").mean_latency_ms for pair in run.front.pairs]
    np.testing.assert_allclose(bar_ends(1, figure)[-len(means) :], means)
    assert {"limit 90 ms", "cloud alone 2000 ms"} <= set(texts(figure))


def test_a_star_is_where_the_pair_would_be_run(run: Run, asked: dict[str, Any]) -> None:
    """Also in the small multiples; without a question there is none."""
    front = read_front(asked)
    pair = front.pairs[0]
    point = asked["pairs"][0]["point"]["test"]
    figures = [
        draw_curve(replace(run, front=front), pair),
        draw_all_curves(replace(run, front=front)),
    ]
    for figure in figures:
        assert figure is not None
        stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
        np.testing.assert_allclose(stars[0].get_xdata(orig=False), 100 * point["coverage"])
        np.testing.assert_allclose(stars[0].get_ydata(orig=False), 100 * point["accuracy"])
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert legend[0] == "router" and "where it would be run" in legend
    plain = draw_curve(run, run.front.pairs[0])
    assert not [line for line in plain.axes[0].lines if line.get_marker() == "*"]


def test_within_a_loss_latency_is_drawn_over_it(run: Run, asked: dict[str, Any]) -> None:
    figure = draw_pareto(replace(run, front=read_front(asked), trials=()))
    assert figure is not None
    axes = figure.axes[0]
    assert "points" in axes.get_xlabel() and "latency" in axes.get_ylabel()
    for split in ("score", "test"):
        results = [pair["point"][split] for pair in asked["pairs"]]
        expected = [(100 * one["loss"], one["mean_latency_ms"]) for one in results]
        np.testing.assert_allclose(points(figure, f"front, {split}"), expected)
    assert "1 allowed" in texts(figure)
    left, right = axes.get_xlim()
    assert left < 1 < right


def test_poor_candidates_are_cut_where_small_is_good(run: Run, asked: dict[str, Any]) -> None:
    """Slow ones are above the front then, and must not squeeze it."""
    members = [pair["point"]["score"]["mean_latency_ms"] for pair in asked["pairs"]]
    trials = tuple(
        replace(
            trial,
            measures={"loss": 0.006, "mean_latency_ms_within_loss": max(members) * (1 + number)},
        )
        for number, trial in enumerate(run.trials)
    )
    figure = draw_pareto(replace(run, front=read_front(asked), trials=trials))
    assert figure is not None
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < min(members) and max(members) < top < max(members) * len(trials)
    y = points(figure, "candidates")[:, 1]
    counted = [int(text.split()[0]) for text in texts(figure) if "outside this range" in text]
    assert counted == [int((y > top).sum())]


def test_a_budget_is_drawn_where_the_mean_is(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", pairs=2, trials=4)
    document = ask(json.loads((folder / "pareto.json").read_text()), mean_latency_ms=900.0)
    (folder / "pareto.json").write_text(json.dumps(document))
    run = read_run(folder)
    figure = draw_latency(run)
    assert figure is not None and "allowed 900 ms" in texts(figure)
    pareto = draw_pareto(run)
    assert pareto is not None and pareto.axes[0].get_xlabel() == "latency on the device (ms)"
    expected = [
        (pair["cost"]["edge_latency_ms"], 100 * pair["point"]["test"]["accuracy_with_timeouts"])
        for pair in document["pairs"]
    ]
    np.testing.assert_allclose(points(pareto, "front, test"), expected)


def test_curves_are_those_of_the_document(run: Run) -> None:
    pair = run.front.pairs[0]
    curve = run.curves[pair.id]
    above, below = draw_curve(run, pair).axes
    drawn = {line.get_label(): line.get_ydata() for line in above.lines}
    np.testing.assert_allclose(drawn["router"], 100 * curve.accuracy["router"])
    np.testing.assert_allclose(drawn["max softmax"], 100 * curve.accuracy["msp"])
    leads = [np.asarray(line.get_ydata()) for line in below.lines[1:]]
    expected = 100 * (curve.accuracy["router"] - curve.accuracy["entropy"])
    np.testing.assert_allclose(leads[0], expected)
    assert len(leads) == 3  # the oracle is an upper bound and not something to be ahead of


def test_small_multiples_stop_at_twelve_and_say_so(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", pairs=MOST_PANELS + 2, trials=30))
    figure = draw_all_curves(run)
    assert figure is not None
    assert sum(axes.get_visible() for axes in figure.axes) == MOST_PANELS
    assert figure.get_suptitle().endswith(f"(the {MOST_PANELS} best of {MOST_PANELS + 2} pairs)")


def test_hypervolume_steps_through_the_trials(run: Run) -> None:
    figure = draw_hypervolume(run)
    assert figure is not None
    x, y = figure.axes[0].lines[0].get_data()
    np.testing.assert_array_equal(x, range(1, len(run.trials) + 1))
    np.testing.assert_array_equal(y, [trial.hypervolume for trial in run.trials])
    x, y = figure.axes[1].lines[0].get_data()
    unit = 60 if 2 * len(run.trials) >= 120 else 1
    np.testing.assert_allclose(x, [2 * (n + 1) / unit for n in range(len(run.trials))])
    np.testing.assert_array_equal(y, [trial.hypervolume for trial in run.trials])
    untimed = tuple(replace(trial, elapsed_seconds=None) for trial in run.trials)
    older = draw_hypervolume(replace(run, trials=untimed))
    assert older is not None and len(older.axes) == 1
    assert draw_hypervolume(replace(run, trials=run.trials[:1])) is None


def test_every_axis_has_a_name_and_every_plot_a_title(run: Run) -> None:
    for name, draw in PLOTS.items():
        figure = draw(run)
        assert figure is not None, name
        titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
        assert all(titles), name
        # Bars with a name per row need no name for the axis of rows; inner panels share one.
        lowest = [axes for axes in figure.axes if axes.get_visible()][-1]
        assert lowest.get_xlabel(), name


def test_png_and_svg_are_the_same_each_time(run: Run, run_dir: Path) -> None:
    plots = draw_plots(run)
    assert set(plots) == set(PLOTS)
    for name, plot in plots.items():
        assert plot.png == (run_dir / "plots" / f"{name}.png").read_bytes()
        with Image.open(io.BytesIO(plot.png)) as image:
            assert image.format == "PNG" and image.width > 900
        assert plot.svg in (run_dir / "report.html").read_text() or name == "coverage"


def test_svg_takes_its_colours_from_variables_and_its_text_is_escaped() -> None:
    with plot_style("test"):
        figure = Figure()
        axes = figure.add_subplot(title="$x$ </text><script>alert(1)</script> & \\frac")
        axes.plot([0, 1], color=PALETTE["router"][0])
        axes.text(0, 0, "0.98765")
        svg = svg_text(figure)
    assert "0.98765" in svg and not re.search(r' (d|x|y)="[^"]*\.\d{3}', svg)
    assert "<script" not in svg and "&lt;script&gt;" in svg and "$x$" in svg
    assert "var(--plot-router)" in svg
    assert PALETTE["router"][0] not in svg
    assert "<style" not in svg and "xmlns" not in svg and "http" not in svg


def test_very_many_candidates_are_one_image_in_the_page(run: Run) -> None:
    many = replace(run, trials=run.trials * (MOST_CIRCLES // len(run.trials) + 1))
    drawn = {}
    for name, one in (("few", run), ("many", many)):
        with plot_style(name):
            figure = draw_pareto(one)
            assert figure is not None
            assert len(points(figure, "candidates")) == len(one.trials)
            drawn[name] = svg_text(figure)
    assert drawn["few"].count("<use") > len(run.trials) and "<image" not in drawn["few"]
    assert drawn["many"].count("<use") < 200 and drawn["many"].count("<image") == 1


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    return float(linear(color) @ np.array([0.2126, 0.7152, 0.0722]))


def linear(color: str) -> FloatArray:
    channels = np.array([int(part, 16) for part in re.findall("..", color[1:])]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: FloatArray) -> FloatArray:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("dark", [False, True])
def test_lines_of_one_plot_can_be_told_apart(deficiency: str, dark: bool) -> None:
    """Ten steps of CIE76, four times what is just noticeable, for the usual colour blindnesses."""
    roles = ("router", "test", "entropy", "msp", "margin", "oracle")
    seen = {role: lab(DEFICIENCIES[deficiency] @ linear(PALETTE[role][dark])) for role in roles}
    for a, b in combinations(roles, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 10, (a, b)


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_the_contrast_that_wcag_asks_for(dark: bool) -> None:
    paper = luminance(PALETTE["paper"][dark])
    for role in ("ink", "muted"):
        text = luminance(PALETTE[role][dark])
        ratio = (max(text, paper) + 0.05) / (min(text, paper) + 0.05)
        assert ratio >= 4.5, role
