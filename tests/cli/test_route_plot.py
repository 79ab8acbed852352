"""The plot of ``route``: the analysis's numbers, in the right places."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from hybrid_nas.report.plot_route import draw_route, route_png
from hybrid_nas.routing import ModelOutputs
from hybrid_nas.routing.analysis import RouteAnalysis, analyse
from hybrid_nas.routing.utility import MatrixUtility, Utility

N = 300


def analysis(utility: Utility | None = None) -> RouteAnalysis:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, N)
    logits = random.normal(size=(N, 3)) + 1.5 * np.eye(3)[labels]
    cloud = np.where(random.random(N) < 0.95, labels, (labels + 1) % 3)
    return analyse(
        ModelOutputs(labels=labels, logits=logits),
        ModelOutputs(predicted=cloud),
        (0.7,),
        repeats=1,
        utility=utility,
        curve=True,
    )


def lines(figure: Figure, panel: int) -> dict[str, np.ndarray]:
    return {
        str(line.get_label()): np.asarray(line.get_ydata(), dtype=float)
        for line in figure.axes[panel].get_lines()
    }


@pytest.mark.parametrize(
    ("utility", "scale"), [(None, 100.0), (MatrixUtility(np.diag([1.0, 2.0, 5.0])), 1.0)]
)
def test_lines_are_the_curve_and_bands_hold_them(utility: Utility | None, scale: float) -> None:
    found = analysis(utility)
    assert found.curve is not None
    figure = draw_route(found, found.curve)
    drawn = lines(figure, 0)
    for label, method in (
        (f"router ({found.default})", "selected"),
        (found.best_confidence, found.best_confidence),
        ("sent at random", "random"),
        ("oracle bound", "oracle-bound"),
    ):
        expected = [scale * one.value for one in found.curve.methods[method]]
        np.testing.assert_allclose(drawn[label], expected)
    gain = [scale * one.value for one in found.curve.gain]
    assert any(np.allclose(values, gain) for values in lines(figure, 1).values() if len(values) > 2)
    (band,) = figure.axes[1].collections
    path = band.get_paths()[0].vertices
    assert path[:, 1].min() == pytest.approx(scale * min(one.low for one in found.curve.gain))
    assert path[:, 1].max() == pytest.approx(scale * max(one.high for one in found.curve.gain))


def test_the_same_analysis_is_the_same_file() -> None:
    assert route_png(analysis()) == route_png(analysis())
