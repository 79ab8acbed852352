"""Labels of a plot: where they lie, and which are left out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from hybrid_nas.report.labels import place_labels
from hybrid_nas.typing import FloatArray


def labels(points: FloatArray) -> dict[str, Annotation]:
    """What is written beside points (n, 2) on a square of 4 inches, numbered from 1."""
    figure = Figure(figsize=(4, 4))
    axes = figure.add_subplot()
    axes.plot(*points.T, "o")
    where = [(float(x), float(y)) for x, y in points]
    place_labels(figure, axes, dict(enumerate(where, 1)), where)
    figure.canvas.draw()
    return {text.get_text(): text for text in axes.texts if isinstance(text, Annotation)}


def test_all_are_written_where_there_is_room() -> None:
    assert set(labels(np.array([[0, 0], [1, 1], [2, 4], [3, 9]], float))) == set("1234")


def test_no_number_is_written_over_another() -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 1, 90))
    found = labels(np.stack([x, np.sqrt(x)], axis=1))
    assert "1" in found and 15 < len(found) < 90
    boxes = [text.get_window_extent() for text in found.values()]
    for one, other in combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        up = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(across, up) < 2.0  # pixels: the space around the digits
