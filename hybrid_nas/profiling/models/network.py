"""A model file as the wired operators that the memory planner reads."""

from __future__ import annotations

from dataclasses import replace

from hybrid_nas.profiling.models.model import Model, ModelOp
from hybrid_nas.spaces.opspec import OpSpec

_NO_CONCATENATION = 1


def wired_ops(model: Model) -> tuple[OpSpec, ...] | str:
    """The model's operators with `source` and `residual` set, or why they cannot be had.

    Reshapes, activations, quantisation and padding before a convolution pass their input on: they
    are no operators of their own for the planner.
    """
    made: list[OpSpec] = []
    producer = {model.input_name: -1}  # of each tensor: index among `made`, -1 for the input
    for op in model.ops:
        read = [producer.get(name) for name in op.inputs]
        if not op.inputs:
            continue
        if None in read:
            return f"{op} of {model.name} reads what no operator before it writes"
        known = [index for index in read if index is not None]
        if op.kind is None:
            if len(set(known)) > _NO_CONCATENATION:
                return f"{op} of {model.name} joins several tensors, which no OpSpec does"
            index = known[0]
        else:
            if op.spec is None:
                return f"{op} of {model.name} cannot be expressed: {op.reason}"
            made.append(_wired(op, op.after_pad or op.spec, known, len(made)))
            index = len(made) - 1
        producer |= dict.fromkeys(op.outputs, index)
    return tuple(made) if made else f"{model.name} has no operator that an OpSpec can express"


def _wired(op: ModelOp, spec: OpSpec, read: list[int], number: int) -> OpSpec:
    source, second = number - read[0], number - read[-1]
    if op.kind not in ("add", "mul"):
        return replace(spec, source=source, residual=0)
    return replace(spec, source=min(source, second), residual=max(source, second))
