"""Columns of operators agree with the operators themselves."""

from __future__ import annotations

from hypothesis import given

from hybrid_nas.hardware.op_arrays import OP_CLASSES, OpArrays
from hybrid_nas.spaces.opspec import OpSpec
from tests.hardware.graphs import graphs


@given(graphs())
def test_derived_columns_are_the_operators_properties(ops: tuple[OpSpec, ...]) -> None:
    arrays = OpArrays.of(ops)
    for name in ("out_h", "out_w", "out_elements", "in_bytes", "out_bytes", "weights", "macs"):
        assert getattr(arrays, name).tolist() == [getattr(op, name) for op in ops], name


@given(graphs())
def test_every_operator_has_exactly_one_class(ops: tuple[OpSpec, ...]) -> None:
    arrays = OpArrays.of(ops)
    assert set(arrays.classes) == set(OP_CLASSES)
    assert sum(mask.astype(int) for mask in arrays.classes.values()).tolist() == [1] * len(ops)


def test_no_operators_are_no_problem() -> None:
    assert len(OpArrays.of([])) == 0


def test_float_tensors_take_four_bytes() -> None:
    arrays = OpArrays.of([OpSpec("conv", 4, 4, 2, 3, dtype="float32")])
    assert (arrays.in_bytes.tolist(), arrays.out_bytes.tolist()) == ([128], [192])
