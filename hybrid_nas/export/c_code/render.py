"""From a network to the texts that templates make: headers, the code that runs it, documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from hybrid_nas import __version__
from hybrid_nas.export.c_code.emit import OpCode, arena_at
from hybrid_nas.export.c_code.names import IMAGE, ROUTER, op_name
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.patch_code import stage_code
from hybrid_nas.export.c_code.plan import ArenaPlan
from hybrid_nas.export.c_code.text import c_string
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.export.device_router_c import c_float

TEMPLATES = Path(__file__).resolve().parent / "templates"
_ROUTER = "hnas_the_router"


def template_values(network: CNetwork, plan: ArenaPlan, codes: Sequence[OpCode]) -> dict[str, Any]:
    """What the templates name."""
    graph, router = network.graph, network.router
    height, width, channels = graph.input_shape
    last = len(graph.ops) - 1
    values: dict[str, Any] = {
        "name": network.name,
        "version": __version__,
        "height": height,
        "width": width,
        "channels": channels,
        "class_names": network.classes,
        "classes": [c_string(name) for name in network.classes],
        "n_ops": len(graph.ops),
        "plan": plan,
        "weight_bytes": network.constant_bytes,
        "score_scale": c_float(graph.ops[-1].output.scale),
        "score_zero": graph.ops[-1].output.zero,
        "hold_image": network.holds_image,
        "image_offset": plan.offset(IMAGE),
        "parameters": ["\n".join([f"/* {code.title} */", *code.parameters]) for code in codes],
        "patches": plan.patches,
        "stage_code": stage_code(graph, plan) if plan.patches is not None else "",
        "functions": _functions(codes, network.stage),
        "scores_offset": plan.offset(op_name(last, graph.ops[last].spec)),
        "router": None,
        "early": network.stage is not None,
        "rate": None,
    }
    return values if router is None else values | _router_values(network, plan, router)


def _functions(codes: Sequence[OpCode], stage: int | None) -> list[dict[str, Any]]:
    calls = [code.call for code in codes]
    if stage is None:
        parts = {"run": calls}
    else:
        parts = {"run_first": calls[: stage + 1], "run_rest": calls[stage + 1 :]}
    return [
        {"name": name, "calls": [call for call in part if call]} for name, part in parts.items()
    ]


def _router_values(network: CNetwork, plan: ArenaPlan, router: DeviceRouter) -> dict[str, Any]:
    start = network.start_coverage
    rate = router.controller
    thresholds = sorted(router.thresholds.items(), reverse=True)
    return {
        "router": router.to_c(_ROUTER),
        "thresholds": [(c_float(kept), c_float(value)) for kept, value in thresholds],
        "threshold_rows": thresholds,
        "coverage": f"{start:g}",
        "default_threshold": c_float(router.thresholds[start]),
        "rate": None if rate is None else f"{_ROUTER}_rate",
        "rate_target": None if rate is None else f"{rate.target:.3g}",
        "early_op": network.stage,
        "route_arguments": _route_arguments(network, plan, router),
    }


def _route_arguments(network: CNetwork, plan: ArenaPlan, router: DeviceRouter) -> str:
    ops = network.graph.ops

    def output(index: int) -> str:
        return arena_at(plan, IMAGE if index < 0 else op_name(index, ops[index].spec))

    scores = features = stage = "NULL"
    if network.stage is not None:
        stage = output(network.stage)
    else:
        scores = output(len(ops) - 1)
        if router.design.needs_features:
            features = output(network.graph.features_index)
    scratch = arena_at(plan, ROUTER) if router.scratch_bytes else "NULL"
    return f"{scores}, {features}, {stage}, {scratch}"


def render(template: str, values: Mapping[str, Any]) -> str:
    """The text that a template of this folder makes of the values; a name that is missing fails."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
