"""TinyEngine's profile mode: a line per operator, with shape, multiply-accumulates, milliseconds.

    CONV_2D  k1x1_r80x80x16_80x80x8 819200 3.20
    DEPTHWISE_CONV_2D  k3x3_r80x80x16_80x80x16 921600 5.13
    ADD r20x20x24_20x20x24 0 0.12

Milliseconds of the board's tick, a mean over the runs of the operator.
"""

from __future__ import annotations

import re

from hybrid_nas.profiling.imports.log import Facts, Log, Row, Source, number
from hybrid_nas.profiling.imports.words import tflite_word
from hybrid_nas.profiling.models.windows import Expressed, Window, express
from hybrid_nas.spaces.opspec import OpKind, OpSpec

_OP = re.compile(
    r"\b(?P<word>[A-Z][A-Z0-9_]{1,40})\s+(?:k(?P<kh>\d{1,5})x(?P<kw>\d{1,5})_)?"
    r"r(?P<h>\d{1,5})x(?P<w>\d{1,5})x(?P<c>\d{1,5})_(?P<oh>\d{1,5})x(?P<ow>\d{1,5})x(?P<oc>\d{1,5})"
    r"\s+(?P<macs>\d{1,15})\s+(?P<ms>[\d.]\S*)"  # to its end: 3,20 is not 3
)


def is_profile(text: str) -> bool:
    """Whether a log has such lines."""
    return _OP.search(text) is not None


def read_profile(source: Source) -> Log:
    """Rows of all such lines.

    Raises:
        InputError: a time cannot be read, or the multiply-accumulates contradict the shape.
    """
    rows = []
    for line, text in enumerate(source.text.splitlines(), 1):
        match = _OP.search(text)
        if match is not None:
            rows.append(_row(match, source, line))
    return Log("tinyengine", tuple(rows), Facts(runtime="tinyengine"))


def _row(match: re.Match[str], source: Source, line: int) -> Row:
    word = {"SE_AVG_POOL_2D": "AVERAGE_POOL_2D", "SE_ELEMENT_MULT_2D": "MUL"}.get(
        match["word"], match["word"]
    )
    kinds, role, absorbs = tflite_word(word)
    found = _express(next(iter(kinds)), match) if kinds else ""
    if isinstance(found, OpSpec):
        _check_macs(found, int(match["macs"]), source, line)
        kinds |= {found.op}  # the last layer is a 1x1 convolution on one pixel
    return Row(
        line=line,
        word=match["word"],
        values=(number(match["ms"], source, line, "the time"),),
        unit="ms",
        kinds=kinds,
        role=role,
        absorbs=absorbs,
        spec=found if isinstance(found, OpSpec) else None,
        reason=found if isinstance(found, str) else "",
        out_shape=(int(match["oh"]), int(match["ow"]), int(match["oc"])),
        dtype=found.dtype if isinstance(found, OpSpec) else None,
    )


def _express(kind: OpKind, match: re.Match[str]) -> Expressed:
    image = int(match["h"]), int(match["w"]), int(match["c"])
    result = int(match["oh"]), int(match["ow"]), int(match["oc"])
    if min(*image, *result) < 1:
        return "a shape with a dimension below 1"
    if kind in ("add", "mul"):
        if kind == "add" and image != result:
            return "operands of different shapes"
        return OpSpec(kind, *result, result[2], bias=False, residual=1)
    if kind == "dense":
        return OpSpec("dense", 1, 1, image[0] * image[1] * image[2], result[2])
    if kind.endswith("pool"):
        if match["kh"] is None and result[:2] != (1, 1):
            return "a pooling window that the line does not show: give --model"
        window = (int(match["kh"]), int(match["kw"])) if match["kh"] else image[:2]
        return express(Window(kind, image, result, window))
    if match["kh"] is None:
        return "a window that the line does not show: give --model"
    return express(Window(kind, image, result, (int(match["kh"]), int(match["kw"]))))


def _check_macs(spec: OpSpec, stated: int, source: Source, line: int) -> None:
    if stated and spec.macs and stated != spec.macs:
        raise source.fail(
            line, f"{stated} multiply-accumulates, but the shape has {spec.macs}: not TinyEngine's"
        )
