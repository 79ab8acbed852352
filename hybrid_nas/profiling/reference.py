"""What a board's outputs must be: the operators of ``docs/protocol.md`` on their generated data.

A board answers ``RUN`` and ``NETRUN`` with the CRC-32 of its output. The same output is computed
here, so that a kernel that is fast because it is wrong never enters a latency table.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

from hybrid_nas.errors import InputError
from hybrid_nas.profiling import generator
from hybrid_nas.profiling.generator import Int8Array
from hybrid_nas.quantise import int8_kernels
from hybrid_nas.quantise.int8_kernels import Addition, Requantisation
from hybrid_nas.spaces.opspec import OpSpec, contradiction

IN_ZERO, OUT_ZERO = -5, -7
CLAMPS = {"none": (-128, 127), "relu": (OUT_ZERO, 127), "relu6": (OUT_ZERO, 100)}
"""Range of the output for each activation that boards know."""

_ADD_MULTIPLIERS, _ADD_SHIFT = (0x1E0000, 0x1E0000), 22
_WEIGHT_ALIGNMENT = 4
_MAX_SIZE, _MAX_WINDOW = 65535, 255


def unsupported(op: OpSpec) -> str | None:
    """Why the protocol has no such operator, in a few words; None where it has.

    A board may still refuse what the protocol has: too large, or no kernel for it.
    """
    if op.dtype != "int8":
        return f"type {op.dtype} (boards compute in int8)"
    if op.op == "mul":
        return "mul (channel scaling of squeeze-and-excitation)"
    if op.activation not in CLAMPS:
        return f"activation {op.activation} (boards know {', '.join(CLAMPS)})"
    window = f"kernel {op.kernel}, stride {op.stride}, padding {op.padding}"
    if min(op.h, op.w, op.cin, op.cout, op.stride) < 1 or min(op.kernel, op.padding) < 0:
        return f"sizes below 1 ({op.h}x{op.w}, {op.cin} to {op.cout} channels, {window})"
    if max(op.h, op.w, op.cin, op.cout) > _MAX_SIZE or (
        max(op.kernel, op.stride, op.padding) > _MAX_WINDOW
    ):
        return f"sizes above {_MAX_SIZE}, or a window above {_MAX_WINDOW}"
    if wrong := contradiction(op):
        return wrong
    if 0 < op.kernel <= op.padding:
        return f"{window}: a window entirely in the padding"
    return None


@lru_cache(maxsize=4096)
def output_crc(op: OpSpec) -> int:
    """CRC-32 of what ``RUN`` computes for an operator; its wiring plays no part.

    Raises:
        InputError: the protocol has no such operator.
    """
    _require(op, "operator")
    data = generator.stream(generator.INPUT, op.in_bytes)
    second = generator.stream(generator.SECOND_OPERAND, op.in_bytes)
    return zlib.crc32(_run(op, data, second, 0).tobytes())


def network_crc(ops: Sequence[OpSpec], weight_bytes: int) -> int:
    """CRC-32 of the last output of a network, as ``NETRUN`` computes it.

    Args:
        ops: in execution order, wired by `OpSpec.source` and `OpSpec.residual`.
        weight_bytes: size of the board's weight block, from its ``HELLO``.

    Raises:
        InputError: an operator is not in the protocol, needs more weights than the block has, or
            reads a tensor of another size than its producer's output.
    """
    if not ops:
        raise InputError("a network of no operators has no output: give at least one")
    offsets = weight_offsets(ops, weight_bytes)
    tensors = [generator.stream(generator.INPUT, ops[0].in_bytes)]  # tensors[i + 1]: output of i
    for index, (op, offset) in enumerate(zip(ops, offsets, strict=True)):
        _require(op, f"operator {index}")
        data = _operand(tensors, index, op, op.source)
        second = _operand(tensors, index, op, op.residual) if op.op == "add" else data
        tensors.append(_run(op, data, second, offset).reshape(-1))
    return zlib.crc32(tensors[-1].tobytes())


def weight_offsets(ops: Sequence[OpSpec], weight_bytes: int) -> list[int]:
    """Where each operator's weights start in the weight block, in bytes.

    Raises:
        InputError: an operator needs more than the whole block.
    """
    offsets, end = [], 0
    for index, op in enumerate(ops):
        if op.weights > weight_bytes:
            raise InputError(
                f"operator {index} ({op.op}) needs {op.weights} bytes of weights; the board's "
                f"weight block has {weight_bytes}"
            )
        start = -(-end // _WEIGHT_ALIGNMENT) * _WEIGHT_ALIGNMENT
        if start + op.weights > weight_bytes:
            start = 0
        offsets.append(start)
        end = start + op.weights
    return offsets


def _operand(tensors: Sequence[Int8Array], index: int, op: OpSpec, distance: int) -> Int8Array:
    """The output of the operator `distance` before `index`, checked to be as large as `op` says."""
    if not 1 <= distance <= index + 1:
        raise InputError(
            f"operator {index} ({op.op}) reads the output of operator {index - distance}: "
            "operands come from earlier operators, or from the input (-1)"
        )
    tensor = tensors[index + 1 - distance]
    if tensor.size != op.in_bytes:
        raise InputError(
            f"operator {index} ({op.op}) reads {op.in_bytes} bytes, its producer (operator "
            f"{index - distance}) writes {tensor.size}: boards do not pad between operators"
        )
    return tensor


def _run(op: OpSpec, data: Int8Array, second: Int8Array, weight_offset: int) -> Int8Array:
    """Output of a supported operator on flat operands, weights from `weight_offset` on."""
    low, high = CLAMPS[op.activation]
    x = data.reshape(op.h, op.w, op.cin)
    window = {"stride": op.stride, "padding": op.padding}
    match op.op:
        case "avgpool":
            return int8_kernels.average_pool(x, op.kernel, **window, low=low, high=high)
        case "maxpool":
            return int8_kernels.max_pool(x, op.kernel, **window, low=low, high=high)
        case "add":
            zeros = (IN_ZERO, IN_ZERO)
            add = Addition(zeros, _ADD_MULTIPLIERS, _ADD_SHIFT, OUT_ZERO, low, high)
            return add(data, second)
    weights = generator.stream(generator.WEIGHTS, op.weights, weight_offset)
    bias = generator.biases(op.cout)
    scales = generator.scales(op.cout, op.weights // op.cout)
    requantise = Requantisation(scales, OUT_ZERO, low, high)
    k = op.kernel
    match op.op:
        case "conv":
            filters = weights.reshape(op.cout, k, k, op.cin)
            return int8_kernels.conv2d(x, filters, bias, requantise, in_zero=IN_ZERO, **window)
        case "dwconv":
            planes = weights.reshape(k, k, op.cout)
            return int8_kernels.depthwise2d(x, planes, bias, requantise, in_zero=IN_ZERO, **window)
        case _:
            matrix = weights.reshape(op.cout, op.cin)
            return int8_kernels.dense(data, matrix, bias, requantise, in_zero=IN_ZERO)


def _require(op: OpSpec, what: str) -> None:
    reason = unsupported(op)
    if reason is not None:
        raise InputError(f"{what}: boards cannot run {reason}")
