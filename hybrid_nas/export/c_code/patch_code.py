"""A stage that runs in patches as C: the tables that ``hnas_run_stage`` reads."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_nas.export.c_code.names import IMAGE, copy_name, op_name, patch_name, scratch_name
from hybrid_nas.export.c_code.plan import ArenaPlan
from hybrid_nas.export.c_code.text import c_struct
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_regions import AxisSpans, StageSpans
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.requantise import clamp_of

STAGE = "patched_stage"
_RUN = {
    "conv": "hnas_patch_conv",
    "dwconv": "hnas_patch_depthwise",
    "add": "hnas_patch_add",
    "avgpool": "hnas_patch_average_pool",
    "maxpool": "hnas_patch_max_pool",
}


def stage_code(graph: Int8Graph, plan: ArenaPlan) -> str:
    """Definitions of the stage of `plan`, the last of them named `STAGE`."""
    assert plan.patches is not None
    k, grid = plan.patches.n_ops, plan.patches.grid
    stage = graph.specs[:k]
    wiring = tuple((spec.source, spec.residual) for spec in stage)
    spans = StageSpans.of(OpArrays.of(stage), wiring, grid)
    names = [IMAGE, *(op_name(index, spec) for index, spec in enumerate(stage))]
    whole = names[k]
    if grid.columns > 1:
        names[k] = patch_name(k - 1, stage[-1])
    fields = {
        "ops": "stage_ops",
        "tensors": "stage_tensors",
        "rows": "stage_rows",
        "columns": "stage_columns",
        "output": _at(plan, whole),
        "n_ops": k,
        "n_rows": grid.rows,
        "n_columns": grid.columns,
    }
    return "\n".join(
        [
            _table("hnas_patch_op", "stage_ops", (_op(graph, plan, index) for index in range(k))),
            _table("int8_t *", "stage_tensors", (_at(plan, name) for name in names)),
            _table("hnas_span", "stage_rows", _spans(spans.rows)),
            _table("hnas_span", "stage_columns", _spans(spans.columns)),
            c_struct("hnas_stage", STAGE, fields),
        ]
    )


def _op(graph: Int8Graph, plan: ArenaPlan, index: int) -> str:
    op = graph.ops[index]
    spec = op.spec
    params, weights, (low, high) = "NULL", "NULL", (0, 0)
    if spec.op in ("avgpool", "maxpool"):
        low, high = clamp_of(spec.activation, op.output)
    elif spec.op == "add":
        params = f"&add_{index}"
    else:
        params, weights = f"&requant_{index}", f"hnas_weights_{index}"
    fields = {
        "run": _RUN[spec.op],
        "window": f"&window_{index}",
        "params": params,
        "weights": weights,
        "scratch": _at(plan, scratch_name(index, spec)),
        "copy": _at(plan, copy_name(index, spec)),
        "source": index + 1 - spec.source,
        "residual": index + 1 - spec.residual if spec.residual else -1,
        "low": low,
        "high": high,
    }
    values = [f".{field} = {value}" for field, value in fields.items()]
    return "{" + ", ".join(values[:4]) + ",\n     " + ", ".join(values[4:]) + "}"


def _spans(axis: AxisSpans) -> Iterable[str]:
    """What is in memory of every tensor, part after part."""
    for part in range(axis.start.shape[2]):
        both = zip(axis.start[:, 0, part].tolist(), axis.count[:, 0, part].tolist(), strict=True)
        yield ", ".join(f"{{{start}, {count}}}" for start, count in both)


def _table(kind: str, name: str, rows: Iterable[str]) -> str:
    # of pointers, the array is constant, not what they point to
    start = f"static {kind}const {name}" if kind.endswith("*") else f"static const {kind} {name}"
    return f"{start}[] = {{\n" + "".join(f"    {row},\n" for row in rows) + "};"


def _at(plan: ArenaPlan, name: str) -> str:
    """The address of a tensor, as a C expression; NULL where there is none of that name."""
    offsets = {tensor.name: at for tensor, at in zip(plan.tensors, plan.offsets, strict=True)}
    return f"hnas_arena + {offsets[name]}" if name in offsets else "NULL"
