"""What `hybrid-nas verify` found of a pair, and the plan of its arena, for the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hybrid_nas.report.fields import Fields, read_json
from hybrid_nas.units import format_bytes, format_ms

VERIFY_SCHEMA = "hybrid-nas/verify/1"
PLAN_SCHEMA = "hybrid-nas/arena-plan/1"
PLAN = "plan.json"


@dataclass(frozen=True)
class Quantity:
    """A number that was predicted, and what the device showed; None where it is not known."""

    name: str
    unit: str
    predicted: float | None
    observed: float | None
    error: float | None

    def text(self, value: float | None) -> str:
        """`value` in words."""
        if value is None:
            return "–"
        if self.unit == "bytes":
            return f"{value:,.0f} ({format_bytes(int(value))})"
        return format_ms(value) if self.unit == "ms" else f"{value:,.0f}"

    @property
    def title(self) -> str:
        """Name, with the unit that `text` leaves out."""
        return self.name if self.unit in ("bytes", "ms") else f"{self.name}, {self.unit}"

    @property
    def off(self) -> str:
        """The prediction's error with its sign: negative where too little was predicted."""
        if self.error is None:
            return "–"
        if self.predicted == self.observed:
            return "0"
        return f"{100 * self.error:+.2f} %".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Verified:
    """A pair on one board.

    Attributes:
        board, runtime: where it ran, and whose predictions are compared.
        quantities: arena, SRAM, flash and time.
        images: that were run.
        images_from: where they are from.
        fits: whether memory was within the limits.
        exact: whether every output was the integer reference's.
        sentences: what else was found.
    """

    board: str
    runtime: str
    quantities: tuple[Quantity, ...]
    images: int
    images_from: str
    fits: bool
    exact: bool
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor in the arena: from step ``first`` to ``last``, at ``offset``."""

    name: str
    bytes: int
    first: int
    last: int
    offset: int


@dataclass(frozen=True)
class ArenaPlan:
    """Of a pair: what runs, in order, and where its tensors stand."""

    steps: tuple[str, ...]
    tensors: tuple[PlannedTensor, ...]
    arena_bytes: int


def read_verified(pair: Path) -> tuple[Verified, ...]:
    """What was found of a pair, by board; `pair` is its folder.

    Raises:
        InputError: a document is broken.
    """
    paths = sorted(pair.glob("verify/*/verify.json"))
    return tuple(_verified(read_json(path, VERIFY_SCHEMA)) for path in paths)


def read_plan(pair: Path) -> ArenaPlan | None:
    """The plan of a pair's arena: of `export --plan`, or else of what was verified.

    Raises:
        InputError: the document is broken.
    """
    paths = [pair / PLAN, *sorted(pair.glob(f"verify/*/project/{PLAN}"))]
    there = next((path for path in paths if path.is_file()), None)
    return None if there is None else _plan(read_json(there, PLAN_SCHEMA), str(there))


def _verified(fields: Fields) -> Verified:
    agreement = fields.fields("agreement")
    return Verified(
        board=fields.text("board", "an unnamed board"),
        runtime=fields.text("runtime"),
        quantities=tuple(
            _quantity(Fields(item, f"{fields.where}: quantities[{n}]"))
            for n, item in enumerate(fields.items("quantities"))
        ),
        images=agreement.integer("images") or 0,
        images_from=fields.text("images_from"),
        fits=fields.values.get("fits") is True,
        exact=agreement.values.get("exact") is True,
        sentences=tuple(_sentences(fields, agreement)),
    )


def _quantity(fields: Fields) -> Quantity:
    numbers = (fields.number(key) for key in ("predicted", "observed", "error"))
    return Quantity(fields.text("name"), fields.text("unit"), *numbers)


def _sentences(fields: Fields, agreement: Fields) -> Iterator[str]:
    n = agreement.integer("images")
    decisions, sent = agreement.integer("same_decisions"), agreement.integer("sent")
    if decisions is not None:
        yield f"The router decides as planned on {decisions} of {n}; {sent} sent."
    for number, item in enumerate(fields.items("outside")):
        other = Fields(item, f"{fields.where}: outside[{number}]")
        exact, lsb = other.integer("exact"), other.integer("most_lsb")
        off = "" if exact == n else f", off by {lsb} steps of int8 at most"
        yield (
            f"{other.text('who')}: scores equal on {exact} of {n}{off}; "
            f"class equal on {other.integer('same_class')}."
        )


def _plan(fields: Fields, where: str) -> ArenaPlan | None:
    tensors = []
    for number, item in enumerate(fields.items("tensors")):
        one = Fields(item, f"{where}: tensors[{number}]")
        size, first, last, offset = map(one.integer, ("bytes", "first", "last", "offset"))
        if size is None or first is None or last is None or offset is None:
            continue
        tensors.append(PlannedTensor(one.text("name"), size, first, last, offset))
    arena = fields.integer("arena_bytes")
    if not tensors or arena is None:
        return None
    return ArenaPlan(tuple(map(str, fields.items("steps"))), tuple(tensors), arena)
