"""Errors of tables on what they have not seen: counted again by hand, and never on seen rows."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_errors import check, held_out_errors, verdict, with_held_out
from hybrid_nas.hardware.latency_table import Identity, LatencyTable, Measurement
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.spaces.opspec import OpSpec
from tests.hardware.kernels import instructions, space_ops

IDENTITY = Identity("emulated-cortex-m7", "cortex-m7", 25_000_000, "hnas-c", "1", unit="cycles")


def rows(ops: list[OpSpec], noise: float = 0.0) -> dict[OpSpec, Measurement]:
    rng = np.random.default_rng(0)
    return {op: Measurement(float(instructions(op)) * np.exp(noise * rng.normal())) for op in ops}


def table(ops: list[OpSpec], noise: float = 0.0) -> LatencyTable:
    return LatencyTable(IDENTITY, "emulated", "a test", rows(ops, noise), name="mine")


OPS = space_ops(200, 1)


def test_each_row_is_predicted_without_itself() -> None:
    """One row is wrong by a factor of 100: only a prediction that knows it could be near."""
    ops = [op for op in OPS if op.op == "dwconv"]
    good = table(ops)
    wrong = dict(good.rows)
    wrong[ops[3]] = Measurement(100 * good.rows[ops[3]].value)
    before, after = (held_out_errors(replace(good, rows=r))["dwconv"] for r in (good.rows, wrong))
    assert before.n == after.n == len(ops)
    assert before.worst < 0.2 < 0.9 < after.worst


def test_held_out_errors_depend_on_the_set_of_rows_only() -> None:
    one = table(OPS[:120], 0.02)
    other = replace(one, rows=dict(reversed(one.rows.items())), held_out={}, name="other")
    assert held_out_errors(one) == held_out_errors(other) == with_held_out(one).held_out


def test_noise_of_known_size_is_what_is_found() -> None:
    """Nothing predicts noise: the mean error is that of its distribution, sd x sqrt(2 / pi)."""
    found = held_out_errors(table(OPS, 0.05))
    for name in ("pointwise", "dwconv"):
        assert found[name].mean == pytest.approx(0.05 * np.sqrt(2 / np.pi), rel=0.35)
        assert 0.82 <= found[name].interval_90 <= 0.98
        assert found[name].mean < found[name].p95 < found[name].worst


def test_classes_with_hardly_a_row_have_no_error() -> None:
    few = [op for op in OPS if op.op == "dwconv"][:2] + [op for op in OPS if op.op == "conv"][:20]
    assert "dwconv" not in held_out_errors(table(few))
    assert held_out_errors(replace(table([]), model={"conv_mmac": 1.0})) == {}


def test_a_check_counts_what_a_loop_counts() -> None:
    seen, unseen = OPS[:100], OPS[100:]
    mine = table(seen)
    truth = rows(unseen, 0.1)
    found = check(mine, truth.items())
    model = LatencyModel(mine)
    known = [op for op in unseen if model.predictable(OpArrays.of([op]))[0]]
    errors = []
    for op in known:
        predicted = model.ops([op]).ms[0] / IDENTITY.unit_ms
        errors.append(predicted / truth[op].value - 1)
    assert found.unseen is not None and found.seen is None
    assert found.unseen.n == len(known)
    assert found.unseen.mean == pytest.approx(np.mean(np.abs(errors)))
    assert found.unseen.worst == pytest.approx(np.max(np.abs(errors)))
    assert found.unseen.bias == pytest.approx(np.mean(errors))
    assert found.worst is not None and abs(found.worst[1]) == pytest.approx(found.unseen.worst)
    assert sum(one.n for one in found.by_class.values()) == len(known)


def test_rank_correlation_is_that_of_all_pairs() -> None:
    mine = table(OPS[:100])
    truth = {op: row for op, row in rows(OPS[100:], 1.5).items() if op.op == "dwconv"}
    found = check(mine, truth.items()).by_class["dwconv"]
    predicted = LatencyModel(mine).ops(list(truth)).ms
    values = [row.value for row in truth.values()]
    pairs = list(combinations(range(len(values)), 2))
    agree = sum(np.sign((predicted[a] - predicted[b]) * (values[a] - values[b])) for a, b in pairs)
    assert found.kendall_tau == pytest.approx(agree / len(pairs))


def test_rows_that_the_table_holds_are_reported_apart() -> None:
    mine = table(OPS[:100])
    again = {op: Measurement(1.1 * row.value) for op, row in mine.rows.items()}
    found = check(mine, {**again, **rows(OPS[100:110])}.items())
    assert found.seen is not None and found.unseen is not None
    assert found.seen.n == 100 and found.unseen.n + sum(found.not_predictable.values()) == 10
    assert found.seen.mean == pytest.approx(1 - 1 / 1.1)
    assert found.seen.interval_90 is None
    assert found.unseen.mean < 0.05


def test_a_row_without_activation_counts_as_seen_for_the_clamp() -> None:
    bare = {replace(op, activation="none").shape: row for op, row in rows(OPS[:100]).items()}
    found = check(replace(table([]), rows=bare), rows(OPS[:100]).items())
    assert found.unseen is None and found.seen is not None
    assert found.seen.n == 100 and found.seen.worst == pytest.approx(0.0)


def test_what_a_table_cannot_predict_is_counted_not_invented() -> None:
    mine = table([op for op in OPS if op.op == "dwconv"][:20])
    found = check(mine, rows([op for op in OPS if op.op == "conv"][:7]).items())
    assert sum(found.not_predictable.values()) == 7
    assert found.unseen is None and found.seen is None and found.worst is None
    with pytest.raises(InputError, match="there is no row to check against"):
        check(mine, [])


@pytest.mark.parametrize(
    ("error", "word"),
    [(0.0, "good"), (0.05, "good"), (0.07, "fair"), (0.15, "poor"), (0.3, "unfit")],
)
def test_verdicts(error: float, word: str) -> None:
    assert verdict(error) == word
