"""Uplinks as YAML: the ones that come with the program, and the user's. docs/latency-regimes.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.routing.delays import Delay, FixedDelay, LogNormalDelay, MeasuredDelay
from hybrid_nas.routing.query import RadioEnergy, Transfer, Uplink
from hybrid_nas.yaml_documents import file_yaml

SCHEMA = "hybrid-nas/uplink/1"
_FOLDER = Path(__file__).resolve().parent / "uplinks"
_KEYS = ("schema", "name", "source", "transfer", "delay", "outage", "timeout_ms", "energy")


def uplink_names() -> tuple[str, ...]:
    """Names of the uplinks that come with the program, in alphabetical order.

    >>> "ble-1m" in uplink_names()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def read_uplink(spec: str) -> dict[str, Any]:
    """The document of an uplink, checked: a name of `uplink_names`, or the path of a YAML file.

    Raises:
        InputError: no such name or file, or it is no uplink.
    """
    shipped = _FOLDER / f"{spec}.yaml"
    if spec in uplink_names():
        path = shipped
    elif Path(spec).suffix in (".yaml", ".yml"):
        path = Path(spec)
    else:
        raise InputError(
            f"no uplink {spec!r}: give one of {', '.join(uplink_names())}, or a .yaml file"
        )
    document = {"name": path.stem, **file_yaml(path, SCHEMA)}
    parse_uplink(document)
    return document


def parse_uplink(document: Mapping[str, Any]) -> Uplink:
    """The uplink that a document describes.

    Raises:
        InputError: an unknown key, a value of the wrong kind or out of range; names the key.
    """
    name = str(document.get("name", "uplink"))
    where = f"uplink {name}"
    _check_keys(document, _KEYS, where)
    if document.get("transfer") is None and document.get("delay") is None:
        raise InputError(f"{where} takes no time: it needs a 'transfer', a 'delay', or both")
    timeout = document.get("timeout_ms")
    return Uplink(
        name=name,
        transfer=_transfer(document.get("transfer"), where),
        delay=_delay(document.get("delay"), where),
        outage=_number(document, "outage", where, 0.0),
        timeout_ms=None if timeout is None else _number(document, "timeout_ms", where),
        energy=_energy(document.get("energy"), where),
        source=str(document.get("source", "")),
    )


def _transfer(entry: Any, where: str) -> Transfer | None:
    if entry is None:
        return None
    where = f"{where}: transfer"
    if "bits_per_s" in _mapping(entry, where):
        _check_keys(entry, ("bits_per_s",), where)
        return Transfer.at(_number(entry, "bits_per_s", where))
    _check_keys(entry, ("packet_bytes", "packet_ms", "duty_cycle"), where)
    return Transfer(
        int(_number(entry, "packet_bytes", where)),
        _number(entry, "packet_ms", where),
        _number(entry, "duty_cycle", where, 1.0),
    )


def _delay(entry: Any, where: str) -> Delay:
    if entry is None:
        return FixedDelay()
    where = f"{where}: delay"
    match sorted(_mapping(entry, where)):
        case ["ms"]:
            return FixedDelay(_number(entry, "ms", where))
        case ["median_ms", "p95_ms"]:
            return LogNormalDelay(
                _number(entry, "median_ms", where), _number(entry, "p95_ms", where)
            )
        case ["samples_ms"] if isinstance(entry["samples_ms"], list | tuple):
            samples = dict(enumerate(entry["samples_ms"]))
            return MeasuredDelay(tuple(_number(samples, n, where) for n in samples))
    raise InputError(
        f"{where} has keys {', '.join(map(str, entry)) or 'none'}: give ms, or median_ms and "
        "p95_ms, or a list samples_ms"
    )


def _energy(entry: Any, where: str) -> RadioEnergy | None:
    if entry is None:
        return None
    where = f"{where}: energy"
    _check_keys(entry, ("per_query_mj", "per_byte_uj", "wait_mw", "source"), where)
    names = ("per_query_mj", "per_byte_uj", "wait_mw")
    return RadioEnergy(**{name: _number(entry, name, where, 0.0) for name in names})


def _mapping(entry: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} must be a mapping (got {entry!r})")
    return entry


def _check_keys(entry: Any, known: tuple[str, ...], where: str) -> None:
    for key in _mapping(entry, where):
        if key not in known:
            raise InputError(f"{where} has no key {key!r}: give {', '.join(known)}")


def _number(entry: Mapping[Any, Any], key: Any, where: str, default: float | None = None) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: {key!r} must be a finite number (got {value!r})")
    return float(value)
