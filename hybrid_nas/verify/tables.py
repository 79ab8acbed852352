"""What verification found, as rows and sentences for people."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_nas.profiling.pool import describe_op
from hybrid_nas.units import describe_bytes, format_bytes, format_ms
from hybrid_nas.verify.compare import Difference
from hybrid_nas.verify.report import Quantity, Verification

Row = list[object]


def quantity_rows(found: Verification) -> list[Row]:
    """Name, predicted, observed, error."""
    return [[one.name, *_cells(one)] for one in found.quantities]


def op_rows(found: Verification) -> list[Row]:
    """Number and shape, predicted, observed, error, images with an exact output."""
    n = found.agreement.images
    return [
        [f"{number}: {describe_op(spec)}", *_bare_cells(one), f"{exact} of {n}"]
        for number, (one, spec, exact) in enumerate(
            zip(found.ops, found.specs[found.first :], found.agreement.exact_ops, strict=True),
            found.first,
        )
    ]


def readings(found: Verification) -> Iterator[str]:
    """Memory in parts, limits, agreement."""
    memory, flash, agreed = found.memory, found.flash, found.agreement
    yield (
        f"SRAM on the device: arena {memory.arena_high:,} bytes ({memory.arena_touched:,} of them "
        f"written), variables {memory.variables_bytes:,}, stack {memory.stack_high:,}. Flash: code "
        f"and constants {flash.code_bytes:,}, variables' values {flash.data_bytes:,}."
    )
    yield (
        f"Linked for {describe_bytes(found.sram_limit_bytes)} of SRAM and "
        f"{describe_bytes(found.flash_limit_bytes)} of flash: "
        f"{'fits' if found.fits else 'DOES NOT FIT'}."
    )
    if found.patches is not None:
        yield (
            f"The first {found.patches.n_ops} operators run in {found.patches.grid} patches; row "
            f"{found.first} has their times together."
        )
    n = agreed.images
    of = f" ({found.images_from})" if found.images_from else ""
    exact_ops = sum(count == n for count in agreed.exact_ops)
    yield (
        f"Against the integer reference, {n} images{of}: scores exact on {agreed.exact_scores}, "
        f"operators exact on all of them: {exact_ops} of {len(agreed.exact_ops)}."
    )
    for one in agreed.differences:
        yield f"Image {one.image} first differs at {found.op_names[one.op]}{_how(one)}."
    if agreed.same_decisions is not None:
        yield (
            f"Router: send scores exact on {agreed.exact_send_scores} of {n}, decisions equal on "
            f"{agreed.same_decisions}; {agreed.sent} sent."
        )
    if agreed.device_accuracy is not None:
        yield (
            f"Accuracy of the base on these images: {agreed.device_accuracy:.1%} on the device, "
            f"{agreed.reference_accuracy:.1%} by the reference."
        )
    for other in found.outside:
        yield (
            f"Against {other.who}: scores exact on {other.exact} of {n}, off by {other.most_lsb} "
            f"LSB at most, class equal on {other.same_class}."
        )


def _how(one: Difference) -> str:
    if one.lsb is None:
        return ""
    if not one.lsb:
        return ", but not when it was run again: the device is not steady"
    return f", {one.elements} values, by {one.lsb} LSB at most, from {one.where} on"


def _cells(one: Quantity) -> list[object]:
    return [_text(one.predicted, one.unit), _text(one.observed, one.unit), _error(one)]


def _bare_cells(one: Quantity) -> list[object]:
    """Without units, which the column's name says."""
    digits = 3 if one.unit == "ms" else 0
    numbers = (one.predicted, one.observed)
    return [*(None if n is None else f"{n:,.{digits}f}" for n in numbers), _error(one)]


def _text(value: float | None, unit: str) -> str | None:
    if value is None:
        return None
    if unit == "bytes":
        return f"{value:,.0f} ({format_bytes(int(value))})"
    return format_ms(value) if unit == "ms" else f"{value:,.0f} {unit}"


def _error(one: Quantity) -> str | None:
    if one.error is None:
        return None
    return "0" if one.predicted == one.observed else f"{one.error:+.2%}"
