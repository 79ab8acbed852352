"""From the rows of a log to operators: by the log's own shapes, or by the model in execution order.

Only convolutions, dense layers, additions, products and poolings must agree in number and type.
What stands around them (padding, activations, reshapes, conversions) may be fused or inserted by
the tool; it has a time, but no `OpSpec`, and counts as "other". Logs that list every operator of
the model must agree in every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.imports.log import Log, Row
from hybrid_nas.profiling.models.model import Model, ModelOp
from hybrid_nas.spaces.opspec import OpSpec


@dataclass(frozen=True)
class Timed:
    """One operator of the profiled network, with its times of all runs.

    ``spec`` is None where it is no row of a table; ``reason`` says why.
    """

    row: Row
    values: tuple[float, ...]
    spec: OpSpec | None
    reason: str = ""


def attach(log: Log, log_name: str, model: Model | None) -> tuple[Timed, ...]:
    """Every operator of the log, with its `OpSpec` where there is one.

    Args:
        log: what was read.
        log_name: of the file, for messages.
        model: the profiled model; the one that the log lists itself is taken where it is None.

    Raises:
        InputError: number, type or shape of operators differ; the message names the line and the
            operator. Or the log has no shapes, and no model is given.
    """
    model = model or log.facts.model
    if model is None or log.complete:
        return _by_own_shapes(log, log_name)
    if log.every_op and model.format == "tflite":
        return _every_op(log.rows, model, log_name)
    return _around_layout(log.rows, model, log_name)


def _by_own_shapes(log: Log, log_name: str) -> tuple[Timed, ...]:
    ops = [row for row in log.rows if row.role == "op"]
    if ops and not any(row.spec or row.reason for row in ops):
        raise InputError(
            f"{log_name} has no shapes (line {ops[0].line}: {ops[0].word}): give --model FILE, the "
            "TFLite or ONNX file that was profiled"
        )
    return tuple(
        Timed(row, row.values, row.spec, "" if row.spec else row.reason or _no_operator(row))
        for row in log.rows
    )


def _no_operator(row: Row) -> str:
    return "a shape that the log does not show" if row.role == "op" else "no operator of a table"


def _every_op(rows: Sequence[Row], model: Model, name: str) -> tuple[Timed, ...]:
    """Rows against all operators, run after run."""
    n = len(model.ops)
    for number, row in enumerate(rows):
        op = model.ops[number % n]
        if row.word != op.type:
            raise _mismatch(name, row, op, model, number)
    if len(rows) % n:
        last, op = rows[-1], model.ops[len(rows) % n]
        raise InputError(
            f"{name}: line {last.line} is the log's last operator ({last.word}), but {op} of "
            f"{model.name} comes after it: the log has {len(rows)} operators, the model {n}"
        )
    return tuple(
        Timed(
            rows[number],
            tuple(value for row in rows[number::n] for value in row.values),
            op.spec,
            "" if op.spec else op.reason or "no operator of a table",
        )
        for number, op in enumerate(model.ops)
    )


def _mismatch(name: str, row: Row, op: ModelOp, model: Model, number: int) -> InputError:
    n = len(model.ops)
    again = f" (run {number // n + 1} of the model)" if number >= n else ""
    return InputError(
        f"{name}: line {row.line} is {row.word}, but {op} of {model.name} is expected there"
        f"{again}: is it the model that was profiled?"
    )


def _around_layout(rows: Sequence[Row], model: Model, name: str) -> tuple[Timed, ...]:
    """Rows against the operators that count, whatever stands between them."""
    ops = [op for op in model.ops if op.kind is not None]
    if not ops:
        raise InputError(f"{model.name} has no operator that a latency table could hold")
    rows = _folded(rows, len(ops))
    places = [place for place, row in enumerate(rows) if row.role == "op"]
    found = {
        place: Timed(row, row.values, None, _no_operator(row)) for place, row in enumerate(rows)
    }
    at = 0
    for before, place, after in zip([-1, *places], places, [*places[1:], len(rows)], strict=False):
        row = rows[place]
        if at == len(ops):
            raise _too_many(name, row, model)
        op = ops[at]
        if op.kind not in row.kinds or not _same_shape(row, op):
            raise _mismatch_around(name, row, op, model)
        if row.dtype and op.spec and row.dtype != op.spec.dtype:
            raise InputError(
                f"{name}: line {row.line} computes in {row.dtype}, but {op} of {model.name} in "
                f"{op.spec.dtype}: give the very file that was profiled"
            )
        found[place] = _timed(row, op, rows[before + 1 : place], rows[place + 1 : after])
        at += 1
        following = rows[after] if after < len(rows) else None
        while at < len(ops) and _absorbed(row, ops[at], following):
            found[place] = Timed(row, row.values, None, row.reason or "fused operators")
            at += 1
    if at < len(ops):
        raise _too_few(name, rows[places[-1]] if places else None, ops[at], model)
    return tuple(found.values())


def _folded(rows: Sequence[Row], n_ops: int) -> Sequence[Row]:
    """Several runs that follow each other as one, with the values of all."""
    counted = sum(row.role == "op" for row in rows)
    for runs in range(2, counted + 1 if counted > n_ops else 2):
        period = len(rows) // runs
        same = len(rows) % runs == 0 and all(
            row.word == rows[place % period].word for place, row in enumerate(rows)
        )
        if same and counted // runs <= n_ops:
            return [
                replace(
                    rows[place], values=tuple(v for row in rows[place::period] for v in row.values)
                )
                for place in range(period)
            ]
    return rows


def _absorbed(row: Row, op: ModelOp, following: Row | None) -> bool:
    """Whether the next operator of the model is inside this row, and not the next row."""
    if op.kind not in row.absorbs:
        return False
    return following is None or op.kind not in following.kinds


def _timed(row: Row, op: ModelOp, before: Sequence[Row], after: Sequence[Row]) -> Timed:
    spec = op.spec
    if op.after_pad is not None and not any(one.role == "pad" for one in before):
        spec = op.after_pad  # the tool runs both as one operator
    if spec is not None and any(one.role == "activation" for one in after):
        spec = replace(spec, activation="none")  # it is timed on its own
    if spec is None:
        return Timed(row, row.values, None, op.reason)
    return Timed(row, row.values, spec)


def _same_shape(row: Row, op: ModelOp) -> bool:
    """Whether the outputs agree, whatever the order of dimensions; true where one is unknown."""
    mine = sorted(size for size in row.out_shape if size > 1)
    theirs = sorted(size for size in op.out_shape if size > 1)
    return not row.out_shape or not op.out_shape or mine == theirs


def _mismatch_around(name: str, row: Row, op: ModelOp, model: Model) -> InputError:
    shapes = ""
    if row.out_shape and op.out_shape:
        mine, theirs = ("x".join(map(str, shape)) for shape in (row.out_shape, op.out_shape))
        shapes = f" (outputs {mine} and {theirs})"
    return InputError(
        f"{name}: line {row.line} is {row.word}, but {op} of {model.name} is expected there"
        f"{shapes}: is it the model that was profiled?"
    )


def _too_many(name: str, row: Row, model: Model) -> InputError:
    return InputError(
        f"{name}: line {row.line} is {row.word}, but {model.name} has no operator left: is it the "
        "model that was profiled?"
    )


def _too_few(name: str, last: Row | None, op: ModelOp, model: Model) -> InputError:
    end = f"ends with {last.word} in line {last.line}" if last else "has no such operator"
    return InputError(
        f"{name} {end}, but {op} of {model.name} is still expected: is it the model that was "
        "profiled, and the log complete?"
    )
