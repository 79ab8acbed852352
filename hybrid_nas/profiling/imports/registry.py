"""The formats, by name, and which one a file has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.imports import (
    onnxruntime_profile,
    own,
    st_info,
    st_report,
    tflm,
    tinyengine,
    vela,
)
from hybrid_nas.profiling.imports.log import Log, Source

AUTO = "auto"
_JSON = re.compile(r"\s*(\{|\[\s*\{)")
"""How a JSON document begins; a bracket alone begins many a line of a log."""


@dataclass(frozen=True)
class Format:
    """One format: its name, what it is, and its reader.

    ``is_json`` formats are recognised by the parsed document, the others by the text.
    """

    name: str
    what: str
    recognise: Callable[[Any], bool]
    read: Callable[[Source], Log]
    is_json: bool = False


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("json", "our JSON of measurements", own.is_json, own.read_json, is_json=True),
        Format(
            "onnxruntime",
            "profile of onnxruntime (JSON)",
            onnxruntime_profile.is_profile,
            onnxruntime_profile.read_profile,
            is_json=True,
        ),
        Format(
            "st-c-info",
            "network_c_info.json of ST Edge AI",
            st_info.is_info,
            st_info.read_info,
            is_json=True,
        ),
        Format("csv", "our CSV of measurements", own.is_csv, own.read_csv),
        Format("vela", "*_per-layer.csv of Vela", vela.is_per_layer, vela.read_per_layer),
        Format("tflm", "text log of TFLM's MicroProfiler", tflm.is_text, tflm.read_text),
        Format("tflm-csv", "CSV of TFLM's MicroProfiler", tflm.is_csv, tflm.read_csv),
        Format(
            "tinyengine",
            "operator lines of TinyEngine's profile mode",
            tinyengine.is_profile,
            tinyengine.read_profile,
        ),
        Format(
            "st", "report of X-CUBE-AI or ST Edge AI", st_report.is_report, st_report.read_report
        ),
    )
}
"""In the order in which they are tried; reports last, since they recognise the most."""


def sniff(source: Source) -> str:
    """The name of the file's format.

    Raises:
        InputError: it is none; the message lists them.
    """
    document = _document(source)
    if document is None and _JSON.match(source.text):
        raise InputError(f"{source.name} looks like JSON, but is damaged: {_damage(source.text)}")
    for one in FORMATS.values():
        if one.is_json and document is not None and one.recognise(document):
            return one.name
        if not one.is_json and document is None and one.recognise(source.text):
            return one.name
    known = "; ".join(f"{one.name} ({one.what})" for one in FORMATS.values())
    raise InputError(f"{source.name} is in none of the formats that can be imported: {known}")


def parse(source: Source, name: str = AUTO) -> Log:
    """The file, read in the format of that name, or in the one that it has.

    Raises:
        InputError: there is no such format, the file is not in it, or something in it is wrong.
    """
    if name != AUTO and name not in FORMATS:
        raise InputError(f"no format {name!r}: give {AUTO} or one of {', '.join(FORMATS)}")
    one = FORMATS[sniff(source) if name == AUTO else name]
    if one.is_json and not one.recognise(_document(source)):
        raise InputError(f"{source.name} is not in the format {one.name} ({one.what})")
    log = one.read(source)
    if not log.rows and not log.no_times:
        raise InputError(f"{source.name} has no timed operator in the format {one.name}")
    return log


def _damage(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "nothing"


def _document(source: Source) -> object:
    if not _JSON.match(source.text):
        return None
    try:
        return json.loads(source.text)
    except (ValueError, RecursionError):
        return None
