"""``network_c_info.json`` of ST Edge AI: nodes with shapes, and times once it was validated.

``stedgeai validate --mode target --val-json network_c_info.json`` writes the times into the file
that ``generate`` made.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from hybrid_nas.profiling.imports.log import Facts, Log, MemoryFigure, Row, Source, Unit
from hybrid_nas.profiling.imports.st_report import parts
from hybrid_nas.profiling.imports.words import st_word
from hybrid_nas.profiling.models.windows import Expressed, Window, express
from hybrid_nas.spaces.opspec import Dtype, OpSpec

_NO_TIMES = "its nodes have no exec_time: it was generated, but not validated on a target"
_DTYPES: Mapping[str, Dtype] = {"S8": "int8", "Q": "int8", "FLOAT32": "float32", "FLOAT": "float32"}


def is_info(document: object) -> bool:
    """Whether a JSON document is a c_info file."""
    return isinstance(document, dict) and "graphs" in document and "memory_footprint" in document


def read_info(source: Source) -> Log:
    """Rows, memory figures and facts.

    Raises:
        InputError: the document is not built as c_info files are.
    """
    document = json.loads(source.text)
    try:
        rows = tuple(_rows(document, source))
        return Log(
            format="st-c-info",
            rows=rows,
            facts=_facts(document["environment"]),
            memory=tuple(_memory(document["memory_footprint"])),
            no_times="" if rows else _NO_TIMES,
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise source.fail(
            1, f"not built as a c_info file is ({type(error).__name__}: {error})"
        ) from error


def _rows(document: Mapping[str, Any], source: Source) -> list[Row]:
    buffers = {int(one["id"]): one for one in document["buffers"]}
    nodes = [node for graph in document["graphs"] for node in graph["nodes"]]
    made = []
    for node in nodes:
        timed = _time(node["exec_time"])
        if timed is None:
            continue
        value, unit = timed
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"node {node['name']} takes {value}")
        line = 1 + source.text.count("\n", 0, max(0, source.text.find(f'"{node["name"]}"')))
        kinds, role, absorbs = st_word(str(node["description"]))
        found: Expressed = _express(node, buffers) if kinds else ""
        if isinstance(found, OpSpec) and found.op in kinds:
            kinds = frozenset((found.op,))
        outputs = [buffers[int(one)] for one in node["outputs"]]
        made.append(
            Row(
                line=line,
                word=str(node["description"]),
                values=(value,),
                unit=unit,
                name=str(node["name"]),
                kinds=kinds,
                role=role,
                absorbs=absorbs,
                spec=found if isinstance(found, OpSpec) and not absorbs else None,
                reason=found if isinstance(found, str) else "",
                dtype=found.dtype if isinstance(found, OpSpec) else None,
                out_shape=tuple(int(size) for size in outputs[0]["shape"]) if outputs else (),
            )
        )
    return made


def _time(times: Mapping[str, Any]) -> tuple[float, Unit] | None:
    if times.get("duration_ms") is not None:
        return float(times["duration_ms"]), "ms"
    if times.get("cycles") is not None:
        return float(times["cycles"]), "cycles"
    return None


def _express(node: Mapping[str, Any], buffers: Mapping[int, Mapping[str, Any]]) -> Expressed:
    inputs = [buffers[int(one)] for one in node["inputs"]]
    out = buffers[int(node["outputs"][0])]
    data = [one for one in inputs if not one["is_param"]]
    dtype = _dtype(data[0], out)
    if dtype is None:
        return f"values of format {data[0]['format']}"
    image, result = _image(data[0]["shape"]), _image(out["shape"])
    biased = any(one["is_param"] and len(one["shape"]) == 1 for one in inputs)
    word, attributes = str(node["description"]).lower(), node["attributes"] or {}
    if "dense" in word or "gemm" in word:
        cin, cout = math.prod(image), math.prod(result)
        return OpSpec("dense", 1, 1, cin, cout, bias=biased, dtype=dtype)
    if "eltwise" in word:
        if "add" not in word or len(data) != 2 or data[0]["shape"] != data[1]["shape"]:
            return "an operation on two tensors that is no addition of equal shapes"
        return OpSpec("add", *image, image[2], bias=False, dtype=dtype, residual=1)
    if "filter_size" not in attributes:
        return "a window that the file does not show: give --model"
    groups = int(attributes.get("groups", 1))
    if groups not in (1, image[2]):
        return f"{groups} groups"
    pads = [int(size) for size in re.findall(r"\d+", str(attributes.get("pad", "")))]
    depthwise = str(attributes.get("is_depthwise")) == "True"
    return express(
        Window(
            kind="dwconv" if depthwise else "conv",
            in_shape=image,
            out_shape=result,
            kernel=_pair(attributes["filter_size"]),
            stride=_pair(attributes.get("stride", "(1, 1)")),
            padding=(sum(pads[:2]), sum(pads[2:])) if len(pads) == 4 else None,
            dilation=_pair(attributes.get("dilation", "1 1")),
            bias=biased,
            dtype=dtype,
        )
    )


def _dtype(*buffers: Mapping[str, Any]) -> Dtype | None:
    found = {_DTYPES.get(str(one["format"]).removeprefix("STAI_FORMAT_")) for one in buffers}
    return found.pop() if len(found) == 1 else None


def _image(shape: list[int]) -> tuple[int, int, int]:
    sizes = [1, 1, *(int(size) for size in shape)][-3:]
    return sizes[0], sizes[1], sizes[2]


def _pair(text: object) -> tuple[int, int]:
    first, second = (int(size) for size in re.findall(r"\d+", str(text)))
    return first, second


def _facts(environment: Mapping[str, Any]) -> Facts:
    tools = environment.get("tools") or [{}]
    version = re.match(r"\d+\.\d+\.\d+", str(tools[-1].get("version", "")))
    device = environment.get("device")
    clock = re.search(r"@ ?(\d+)/\d+ ?MHz", str(device))
    return Facts(
        boards=parts(str(device)) if device else (),
        clock_hz=int(clock[1]) * 1_000_000 if clock else None,
        runtime="x-cube-ai",
        runtime_version=f"st-edge-ai-{version[0]}" if version else "",
    )


def _memory(footprint: Mapping[str, Any]) -> list[MemoryFigure]:
    names = {"activations": "activations", "weights": "weights"}
    names |= {"kernel_flash": "runtime: flash", "kernel_ram": "runtime: ram"}
    names |= {"toolchain_flash": "toolchain: flash", "toolchain_ram": "toolchain: ram"}
    return [
        MemoryFigure(what, int(footprint[key]), 1)
        for key, what in names.items()
        if footprint.get(key) is not None
    ]
