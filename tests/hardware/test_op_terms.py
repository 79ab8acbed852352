"""Mechanistic terms against counts over every window, and against kernels' own loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from hybrid_nas.hardware.op_arrays import OP_CLASSES, OpArrays
from hybrid_nas.hardware.op_terms import features, interior_pixels, mechanistic_terms
from hybrid_nas.spaces.opspec import OpSpec
from tests.hardware.graphs import graphs
from tests.hardware.kernels import instructions, window

windows = st.builds(
    lambda h, w, stride, kernel: OpSpec("dwconv", h, w, 1, 1, kernel, stride, kernel // 2),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 3),
    st.sampled_from([3, 5, 7]),
)


@given(windows)
def test_interior_and_border_are_counted_as_over_every_window(op: OpSpec) -> None:
    rows = [window(y, op.h, op) for y in range(op.out_h)]
    columns = [window(x, op.w, op) for x in range(op.out_w)]
    inside = sum(y * x == op.kernel**2 for y in rows for x in columns)
    pixels, k = op.out_h * op.out_w, op.kernel
    arrays = OpArrays.of([op])
    assert interior_pixels(arrays).tolist() == [inside]
    terms = mechanistic_terms("dwconv", arrays)[0].tolist()
    assert terms[7:10] == [inside, inside * k, inside * k**2]
    assert terms[10:13] == [pixels - inside, (pixels - inside) * k, (pixels - inside) * k**2]
    assert terms[13] == sum(rows) * op.out_w - inside * k
    assert terms[14] == sum(rows) * sum(columns) - inside * k**2


@given(graphs())
def test_terms_and_features_are_finite_and_terms_never_negative(ops: tuple[OpSpec, ...]) -> None:
    arrays = OpArrays.of(ops)
    for name in OP_CLASSES:
        terms = mechanistic_terms(name, arrays)
        assert np.isfinite(terms).all() and (terms >= 0).all()
        assert np.isfinite(features(name, arrays)).all()


@pytest.mark.parametrize("kind", ["conv", "dwconv"])
def test_terms_explain_kernels_without_remainders(kind: str) -> None:
    rng = np.random.default_rng(0)
    shapes = rng.integers([5, 1, 1], [30, 16, 16], (60, 3))
    ops = [
        OpSpec("conv", 2 * side, side, 4 * cin, 2 * cout)
        if kind == "conv"
        else OpSpec("dwconv", side, side, 4 * cin, 4 * cin, 3, 1 + side % 2, 1)
        for side, cin, cout in shapes.tolist()
    ]
    truth = np.array([instructions(op) for op in ops], float)
    terms = mechanistic_terms("pointwise" if kind == "conv" else kind, OpArrays.of(ops))
    found, _ = nnls(terms / truth[:, None], np.ones(len(ops)))
    assert np.abs(terms @ found / truth - 1).max() < 1e-3
