"""Latency tables: what operators take on one board, under one runtime, and how it was found out.

A table's *identity* is everything that changes a number: rows of different identities never mix.
`hybrid_nas.hardware.latency_files` reads and writes tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.opspec import OpSpec

LatencyKind = Literal["measured", "emulated", "predicted"]
UNITS = ("ms", "us", "cycles", "instructions")
TERMS = ("conv_mmac", "dwconv_mmac", "out_melem", "conv_mweights", "padded_melem")
"""What a model without rows is linear in, in millions; see `latency.model_terms`."""
_CLAMPS = ("relu", "relu6")


@dataclass(frozen=True)
class Identity:
    """What a latency belongs to. Tables with different identities cannot be merged.

    ``unit`` is that of the rows' values: ms, us, cycles or instructions of ``clock_hz``. An
    instruction counts as one cycle; the table's correction makes it time.
    """

    board: str
    core: str
    clock_hz: int
    runtime: str
    runtime_version: str
    kernels: str = "unknown"
    placement: str = "unknown"
    cache: str = "unknown"
    unit: str = "ms"

    @property
    def unit_ms(self) -> float:
        """Milliseconds in one unit."""
        return {"ms": 1.0, "us": 1e-3}.get(self.unit, 1e3 / self.clock_hz)


@dataclass(frozen=True)
class Measurement:
    """An operator's latency in the table's unit, its spread over repeats, and their number."""

    value: float
    spread: float = 0.0
    count: int = 1


@dataclass(frozen=True)
class Correction:
    """A whole network takes ``scale`` x sum of its operators + ``per_op_ms`` x their number."""

    scale: float = 1.0
    per_op_ms: float = 0.0


@dataclass(frozen=True)
class Validation:
    """Relative errors on whole networks, as fractions, and how they were found.

    ``kendall_tau`` is the rank correlation of predicted and measured latencies, where it is known.
    """

    mean: float
    worst: float
    networks: int
    how: str
    kendall_tau: float | None = None


@dataclass(frozen=True)
class HeldOut:
    """Relative errors on n rows of a class, each predicted from rows that it is not among.

    ``mean``, ``p95`` and ``worst`` are of absolute errors, as fractions; ``interval_90`` is the
    share of rows inside their 90 % intervals.
    """

    mean: float
    p95: float
    worst: float
    n: int
    interval_90: float


@dataclass(frozen=True)
class Energy:
    """Mean power while a network runs, so that its energy is latency x power.

    ``mean`` and ``worst`` are relative errors of the energy of networks, as fractions, each
    predicted (latency and power) without its own figures; ``networks`` is their number.
    """

    power_mw: float
    mean: float
    worst: float
    networks: int
    source: str


@dataclass(frozen=True)
class LatencyTable:
    """Operators' latencies on one board under one runtime.

    Attributes:
        identity: what the numbers belong to.
        kind: what the rows are; ``predicted`` for a table that has a model only.
        source: where the numbers come from.
        rows: measurements by `OpSpec.shape`.
        model: for a table without rows, ms per millionth of each of `TERMS`.
        correction: from the sum of operators to a whole network.
        validation: the error on whole networks, where it is known.
        held_out: the error on operators never measured, by class, where it is known.
        energy: mean power, where it is published.
        scaled_from: for a table made from instruction counts, what those belong to.
    """

    identity: Identity
    kind: LatencyKind
    source: str
    rows: Mapping[OpSpec, Measurement] = field(default_factory=lambda: MappingProxyType({}))
    model: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    correction: Correction = Correction()
    validation: Validation | None = None
    name: str = ""
    held_out: Mapping[str, HeldOut] = field(default_factory=lambda: MappingProxyType({}))
    energy: Energy | None = None
    scaled_from: Identity | None = None

    def row_of(self, op: OpSpec) -> Measurement | None:
        """The row of an operator, however it is wired; None where there is none.

        In int8 a ReLU is the clamp that is there anyway. Logs that do not name activations say
        ``none``: where ``relu`` or ``relu6`` has no row of its own, that one is taken.
        """
        row = self.rows.get(op.shape)
        if row is None and op.dtype == "int8" and op.activation in _CLAMPS:
            row = self.rows.get(replace(op.shape, activation="none"))
        return row

    def merged(self, other: LatencyTable) -> LatencyTable:
        """This table with the rows of another of the same identity; the other's rows win.

        Raises:
            InputError: the identities differ; the message names the first difference.
        """
        names = self.name or "one", other.name or "the other"
        self._require_same("", asdict(self.identity), asdict(other.identity), names)
        mine, theirs = _as_dict(self.scaled_from), _as_dict(other.scaled_from)
        self._require_same("scaled_from ", mine, theirs, names)
        if self.kind != other.kind:
            raise InputError(f"{self.kind} and {other.kind} latencies cannot be mixed in one table")
        rows = MappingProxyType({**self.rows, **other.rows})
        # the old errors were those of other rows
        return replace(self, rows=rows, validation=None, held_out=MappingProxyType({}))

    @staticmethod
    def _require_same(
        what: str, mine: Mapping[str, object], theirs: Mapping[str, object], names: tuple[str, str]
    ) -> None:
        for key, value in mine.items():
            if theirs[key] != value:
                raise InputError(
                    f"latency tables of different {what}{key} cannot be mixed: "
                    f"{names[0]} has {value!r}, {names[1]} has {theirs[key]!r}"
                )

    def require(self, board: str, runtime: str) -> LatencyTable:
        """This table, if it is for that board and runtime.

        Raises:
            InputError: it is for another.
        """
        for what, wanted in (("board", board), ("runtime", runtime)):
            found = getattr(self.identity, what)
            if found != wanted:
                raise InputError(
                    f"latency table {self.name or self.source} is for {what} {found}, not for "
                    f"{wanted}: give --{what} {found}, or another table"
                )
        return self


def _as_dict(identity: Identity | None) -> dict[str, object]:
    return dict.fromkeys(Identity.__dataclass_fields__) if identity is None else asdict(identity)
