"""An evaluation's document as tables: titles, columns and rows of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hybrid_nas.units import format_ms

Row = list[str | None]
TableParts = tuple[str, list[str], list[Row]]

_COSTS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("accuracy_with_timeouts", "router, with timeouts", lambda share: f"{100 * share:.2f}"),
    ("mean_latency_ms", "mean latency", format_ms),
    ("p95_latency_ms", "95 % answered within", format_ms),
    ("mean_macs", "mean MACs, cloud included", lambda macs: f"{macs / 1e6:.2f} M"),
    ("mean_energy_mj", "energy per inference", lambda mj: f"{mj:.3g} mJ"),
    ("battery_days", "days per charge", lambda days: f"{days:.3g}"),
)
"""Costs by their keys: in words, and how a value is written."""


def evaluation_tables(document: Mapping[str, Any]) -> list[TableParts]:
    """Tables in the order in which they are read; those without rows are left out."""
    tables = [
        _main(document),
        _arithmetic(document),
        _guarantees(document),
        _exits(document),
        _splits(document),
        _shift(document),
        _unknown(document),
    ]
    return [table for table in tables if table is not None and table[2]]


def _main(document: Mapping[str, Any]) -> TableParts:
    at = document["coverages"]
    columns = ["method"]
    planned = document["planned"]
    for key, found in at.items():
        kept = f"kept {found['coverage']:.3f}"
        own = planned is not None and planned["coverage"] == key
        columns += [f"{'planned' if own else 'at'} {key} ({kept})", "router ahead by"]
    router: Row = [f"router ({document['router']['deployed']})"]
    way: Row = [f"share of the way from {document['best_confidence']} to {document['bound']}"]
    for found in at.values():
        router += [f"{_percent(found['accuracy'])} ± {100 * found['stderr']:.2f}", ""]
        share = found["share_of_the_way"]
        way += [None if share is None else f"{round(100 * share) + 0} %", ""]
    rows = [router]
    for name, about in document["baselines"].items():
        row: Row = [f"{name} ({about['kind']})" if about["kind"] == "bound" else name]
        for found in at.values():
            one = found["baselines"][name]
            low, high = one["router_gain"]["interval"]
            gain = f"{_points(one['router_gain']['value'])} [{_points(low)}, {_points(high)}]"
            row += [_percent(one["accuracy"]), gain]
        rows.append(row)
    if document["abstaining"]:
        abstaining: Row = [f"abstaining, on the kept ({document['abstaining']['deployed']})"]
        for key in at:
            found = document["abstaining"]["at"][key]
            abstaining += [_percent(found["accuracy"]), f"kept {found['coverage']:.3f}"]
        rows.append(abstaining)
    split, cloud = document["test_split"], document["cloud_accuracy"]
    judged = "no cloud: accuracy on the kept" if cloud is None else "accuracy in %"
    title = (
        f"Pair {document['pair']}, {document['base']}, int8, {split['images']} test images in "
        f"{split['groups']} groups; {judged}, paired 95 % intervals"
    )
    return title, columns, [*rows, way, *_costs(at)]


def _costs(at: Mapping[str, Any]) -> list[Row]:
    """A row for the mean latency, and one for each other cost that is known."""
    rows: list[Row] = []
    for key, name, text in _COSTS:
        if key == "mean_latency_ms" or any(found.get(key) is not None for found in at.values()):
            row: Row = [name]
            for found in at.values():
                row += [None if found.get(key) is None else text(found[key]), ""]
            rows.append(row)
    return rows


def _arithmetic(document: Mapping[str, Any]) -> TableParts:
    keys = list(document["coverages"])
    names = {
        "search": "supernet, float32 (search)",
        "float32": f"{document['base']}, float32",
        "int8": f"{document['base']}, int8",
    }
    rows: list[Row] = []
    for name, title in names.items():
        found = document["arithmetic"][name]
        row: Row = [title, _percent(found["base"])]
        for key in keys:
            at = found["hybrid"].get(key)
            row.append(
                None if at is None else f"{_percent(at['accuracy'])} (kept {at['coverage']:.3f})"
            )
        rows.append(row)
    return "int8 beside float32", ["weights", "base alone", *(f"at {key}" for key in keys)], rows


def _guarantees(document: Mapping[str, Any]) -> TableParts:
    rows: list[Row] = [
        [
            one["guarantee"],
            f"{one['threshold']:.6g}",
            f"{one['bound']:.4f}",
            f"{one['test']['value']:.4f}",
            f"{one['test']['coverage']:.3f}",
            _percent(one["test"]["accuracy"]),
            "yes" if one["test"]["within"] else "no",
        ]
        for one in document["guarantees"]
    ]
    columns = ["guarantee", "threshold", "proved", "on test", "kept", "accuracy", "within"]
    return "Guarantees, calibrated on the threshold split", columns, rows


def _exits(document: Mapping[str, Any]) -> TableParts:
    rows: list[Row] = [
        [
            f"behind block {one['block']}",
            _percent(one["accuracy"]),
            f"{100 * at['left']:.0f} %",
            _percent(at["accuracy"]),
            f"{at['mean_macs'] / 1e6:.2f}",
            None if at["mean_ms"] is None else f"{at['mean_ms']:.1f}",
        ]
        for one in document["early_exits"]
        for at in one["at"].values()
    ]
    columns = ["exit", "its accuracy on all", "leave there", "accuracy", "mean MMACs", "mean ms"]
    return "Early exits on the device, without a cloud", columns, rows


def _splits(document: Mapping[str, Any]) -> TableParts:
    """The image, and the cuts that send less than every earlier one; the document has them all."""
    points, least = [], None
    for point in document["split_computing"]:
        if least is None or point["sent_bytes"] < least:
            points.append(point)
            least = point["sent_bytes"]
    rows: list[Row] = [
        [
            "the image" if one["block"] < 0 else f"features behind block {one['block']}",
            "x".join(map(str, one["shape"])),
            str(one["sent_bytes"]),
            f"{one['image_share']:.2f}",
            None if one["device_ms"] is None else f"{one['device_ms']:.1f}",
            f"{one['uplink_ms']:.0f}",
        ]
        for one in points
    ]
    columns = ["sent", "shape", "bytes", "of the image", "device ms", "uplink ms (estimate)"]
    title = "Split computing: every image, accuracy of the base; uplink time by the bytes"
    return title, columns, rows


def _shift(document: Mapping[str, Any]) -> TableParts | None:
    if document["shift"] is None:
        return None
    keys = list(document["coverages"])
    columns = ["images", "base", "cloud"]
    for key in keys:
        columns += [f"fixed at {key}", f"controlled at {key}"]
    rows: list[Row] = []
    for one in document["shift"]["rows"]:
        name = f"{one['corruption']} {one['severity']}" if one["severity"] else one["corruption"]
        row: Row = [name, _percent(one["base"]), _percent(one["cloud"])]
        for key in keys:
            row += [_kept(one["fixed"][key]), _kept(one["controlled"].get(key))]
        rows.append(row)
    return "Changed images: accuracy of the hybrid (kept)", columns, rows


def _unknown(document: Mapping[str, Any]) -> TableParts | None:
    if document["unknown"] is None:
        return None
    keys = list(document["coverages"])
    rows: list[Row] = [
        [name, *(f"{100 * rates[key]:.1f} %" for key in keys)]
        for name, rates in document["unknown"].items()
    ]
    return "Sent, of images of no known class", ["images", *(f"at {key}" for key in keys)], rows


def _kept(found: Mapping[str, Any] | None) -> str | None:
    if found is None:
        return None
    kept = f"(kept {found['coverage']:.2f})"
    return kept if found["accuracy"] is None else f"{_percent(found['accuracy'])} {kept}"


def _points(difference: float) -> str:
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # + 0.0: no minus before a zero


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f}"
