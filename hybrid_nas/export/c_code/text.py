"""Values as C text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

_PER_LINE = {"int8_t": 20, "int32_t": 8, "float": 5}


def c_array(kind: str, name: str, values: npt.NDArray[Any]) -> str:
    """The definition of a constant array; int8 ones start at a whole word, which cores read faster.

    >>> import numpy as np
    >>> print(c_array("int32_t", "steps", np.array([1, -2])))
    const int32_t steps[2] = {
        1, -2,
    };
    """
    flat = [_number(kind, value) for value in values.reshape(-1).tolist()]
    step = _PER_LINE[kind]
    rows = [flat[start : start + step] for start in range(0, len(flat), step)]
    lines = "".join("    " + ", ".join(row) + ",\n" for row in rows)
    aligned = " __attribute__((aligned(4)))" if kind == "int8_t" else ""
    return f"const {kind} {name}[{len(flat)}]{aligned} = {{\n{lines}}};"


def _number(kind: str, value: float) -> str:
    """Nine digits tell every float32 from its neighbours."""
    return f"{value:.8e}f" if kind == "float" else str(value)


def c_struct(kind: str, name: str, fields: Mapping[str, object]) -> str:
    """The definition of a constant struct.

    >>> print(c_struct("point", "origin", {"x": 0, "y": 0}))
    static const point origin = {.x = 0, .y = 0};
    """
    lines, line = [], f"static const {kind} {name} = {{"
    for number, (field, value) in enumerate(fields.items()):
        word = f".{field} = {value}" + ("," if number + 1 < len(fields) else "};")
        if len(line) + len(word) > 98:
            lines.append(line.rstrip())
            line = "    "
        line += word + " "
    return "\n".join([*lines, line.rstrip()])


def c_string(text: str) -> str:
    """A string literal, UTF-8.

    >>> print(c_string('a "b" µ'))
    "a \\"b\\" \\302\\265"
    """
    return '"' + "".join(map(_escaped, text.encode())) + '"'


def _escaped(byte: int) -> str:
    if byte in b'"\\?':  # "??=" would be a trigraph
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"
