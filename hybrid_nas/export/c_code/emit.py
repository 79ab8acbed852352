"""Operators as C: constants, parameters, and the calls that run them in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hybrid_nas.export.c_code.names import IMAGE, op_name, scratch_name
from hybrid_nas.export.c_code.patch_code import STAGE
from hybrid_nas.export.c_code.plan import ArenaPlan
from hybrid_nas.export.c_code.text import c_array, c_struct
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Integers
from hybrid_nas.quantise.requantise import clamp_of
from hybrid_nas.spaces.opspec import OpSpec

_SYMBOLS = {"conv": "hnas_conv", "dwconv": "hnas_depthwise"}


@dataclass(frozen=True)
class OpCode:
    """C text of one operator.

    Attributes:
        title: what it is, for people.
        constants: array definitions, by name.
        parameters: struct definitions.
        call: the statement that runs it; of a stage that runs in patches, its last operator has
            that of them all, the others have none.
    """

    title: str
    constants: Mapping[str, str]
    parameters: tuple[str, ...]
    call: str


def op_codes(graph: Int8Graph, plan: ArenaPlan) -> tuple[OpCode, ...]:
    """C text of all operators, in order."""
    return tuple(_op_code(graph, plan, index) for index in range(len(graph.ops)))


def arena_at(plan: ArenaPlan, name: str) -> str:
    """The address of a tensor, as a C expression."""
    offset = plan.offset(name)
    return f"hnas_arena + {offset}" if offset else "hnas_arena"


def _op_code(graph: Int8Graph, plan: ArenaPlan, index: int) -> OpCode:
    op = graph.ops[index]
    spec = op.spec

    def operand(distance: int) -> str:
        source = index - distance
        return arena_at(plan, IMAGE if source < 0 else op_name(source, graph.ops[source].spec))

    constants, parameters = {}, []
    if spec.weights:
        constants = dict(_constants(graph, index))
        parameters.append(_requant(graph, index))
    in_patches = plan.patches is not None and index < plan.patches.n_ops
    if spec.op in ("conv", "dwconv", "avgpool", "maxpool") or in_patches:
        parameters.append(c_struct("hnas_window", f"window_{index}", window(spec)))
    if spec.op == "add":
        parameters.append(_add_params(graph, index))

    source, target = operand(spec.source), arena_at(plan, op_name(index, spec))
    low, high = clamp_of(spec.activation, op.output)
    match spec.op:
        case "conv" | "dwconv":
            scratch = arena_at(plan, scratch_name(index, spec))
            arguments = f"&window_{index}, &requant_{index}, {source}, hnas_weights_{index}"
            call = f"{_SYMBOLS[spec.op]}({arguments}, {target}, {scratch});"
        case "dense":
            scratch = arena_at(plan, scratch_name(index, spec))
            arguments = f"{spec.cin}, {spec.cout}, &requant_{index}, {source}"
            call = f"hnas_dense({arguments}, hnas_weights_{index}, {target}, {scratch});"
        case "add":
            arguments = f"&add_{index}, {spec.out_bytes}, {source}, {operand(spec.residual)}"
            call = f"hnas_add({arguments}, {target});"
        case "avgpool":
            arguments = f"&window_{index}, {low}, {high}, {source}, {target}"
            call = f"hnas_average_pool({arguments}, NULL);"
        case _:
            call = f"hnas_max_pool(&window_{index}, {low}, {high}, {source}, {target});"
    if in_patches:
        call = f"hnas_run_stage(&{STAGE});"
    call += f"\n    TRACE({index}, {target}, {spec.out_bytes});"
    if in_patches and plan.patches is not None and index + 1 < plan.patches.n_ops:
        call = ""
    return OpCode(_title(index, spec), constants, tuple(parameters), call)


def window(spec: OpSpec) -> dict[str, int]:
    """Fields of ``hnas_window``."""
    pools_all = spec.kernel == 0
    return {
        "in_h": spec.h,
        "in_w": spec.w,
        "in_c": spec.cin,
        "out_h": spec.out_h,
        "out_w": spec.out_w,
        "out_c": spec.cout,
        "kernel_h": spec.h if pools_all else spec.kernel,
        "kernel_w": spec.w if pools_all else spec.kernel,
        "stride": spec.stride,
        "pad_top": spec.padding,
        "pad_left": spec.padding,
    }


def _constants(graph: Int8Graph, index: int) -> Iterator[tuple[str, str]]:
    op = graph.ops[index]
    assert op.weight is not None and op.bias is not None
    values: dict[str, tuple[str, Integers]] = {
        "weights": ("int8_t", op.weight),
        "scale": ("float", graph.requantisation(index).scale),
        "bias": ("int32_t", op.bias),
    }
    for what, (kind, array) in values.items():
        name = f"hnas_{what}_{index}"
        yield name, c_array(kind, name, array)


def _requant(graph: Int8Graph, index: int) -> str:
    requantise = graph.requantisation(index)
    fields = {
        "input_offset": -graph.source(index).zero,
        "output_offset": requantise.zero,
        "low": requantise.low,
        "high": requantise.high,
        "scale": f"hnas_scale_{index}",
        "bias": f"hnas_bias_{index}",
    }
    return c_struct("hnas_requant", f"requant_{index}", fields)


def _add_params(graph: Int8Graph, index: int) -> str:
    add = graph.addition(index)
    fields = {
        "a_multiplier": add.multipliers[0],
        "b_multiplier": add.multipliers[1],
        "bias": add.bias,
        "shift": add.shift,
        "output_offset": add.zero,
        "low": add.low,
        "high": add.high,
    }
    return c_struct("hnas_add_params", f"add_{index}", fields)


def _title(index: int, spec: OpSpec) -> str:
    kernel = f" {spec.kernel}x{spec.kernel}" if spec.kernel > 1 else ""
    stride = f" stride {spec.stride}" if spec.stride > 1 else ""
    shapes = f"{spec.h}x{spec.w}x{spec.cin} to {spec.out_h}x{spec.out_w}x{spec.cout}"
    return f"{index}: {spec.op}{kernel}{stride}, {shapes}"
