"""The measuring loop: answer a plan, then rounds of what the predictor is least sure of.

What to measure in a round follows from the answers to the rounds before alone, and answers are
taken from the journal where it has them. So a session that was interrupted asks for the same
operators as one that was not, and ends with the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from hybrid_nas.errors import HybridNasError
from hybrid_nas.hardware.latency_table import LatencyTable, Measurement
from hybrid_nas.profiling.backend import Backend, DeviceLostError, Refused, Timed
from hybrid_nas.profiling.journal import Journal
from hybrid_nas.profiling.plan import next_ops
from hybrid_nas.profiling.pool import distinct, op_order
from hybrid_nas.spaces.opspec import OpSpec

ROUND = 8
"""Operators of a round: few enough that each round learns from the one before."""
_MOST_ASKED = 3
"""Times the budget: where a device refuses nearly everything, that is the answer."""


@dataclass(frozen=True)
class Progress:
    """Where a session is.

    Attributes:
        done: operators measured, those of earlier sessions included.
        total: operators wanted.
        answer: what came last.
    """

    done: int
    total: int
    answer: Timed | Refused


@dataclass(frozen=True)
class Outcome:
    """What a device answered, by operator shape, in the order of `op_order`."""

    rows: Mapping[OpSpec, Measurement]
    refused: Mapping[OpSpec, str]


Report = Callable[[Progress], None]
V = TypeVar("V")


@dataclass
class Measuring:
    """One session on one device.

    Args:
        backend: the device.
        journal: keeps every answer at once.
        known: rows that a table has already.
        report: called after every answer.
        stop: asked between answers; true ends the session.
    """

    backend: Backend
    journal: Journal
    known: Mapping[OpSpec, Measurement] = field(default_factory=dict)
    report: Report = lambda progress: None
    stop: Callable[[], bool] = lambda: False

    def run(self, plan: Sequence[OpSpec], pool: Sequence[OpSpec], budget: int) -> Outcome:
        """Measure until `budget` new rows are there, or nothing is left.

        Args:
            plan: what to begin with; known and repeated shapes are passed over.
            pool: what rounds choose from after the plan.
            budget: rows to add to the known ones.

        Raises:
            DeviceLostError: the device is gone; the message says how many answers are kept, and
                where.
            KeyboardInterrupt: `stop` said so.
            HybridNasError: the device refused everything.
        """
        rows, refused = dict(self.known), dict[OpSpec, str]()
        goal = len(rows) + budget
        batch = [op for op in distinct(plan) if op not in rows][:budget]
        batch = batch or self._round(rows, refused, pool, budget)
        asked = 0
        while batch:
            asked += len(batch)
            for answer in self._answers(batch):
                if isinstance(answer, Timed):
                    rows[answer.op.shape] = answer.measurement
                else:
                    refused[answer.op.shape] = answer.reason
                self.report(Progress(len(rows), goal, answer))
            wanted = min(goal - len(rows), _MOST_ASKED * budget - asked)
            batch = self._round(rows, refused, pool, wanted)
        if not rows:
            raise HybridNasError(_nothing_ran(self.backend, refused))
        return self._with_leftovers(rows, refused)

    def _round(
        self,
        rows: Mapping[OpSpec, Measurement],
        refused: Mapping[OpSpec, str],
        pool: Sequence[OpSpec],
        wanted: int,
    ) -> list[OpSpec]:
        """What to ask next; nothing when there are enough rows, or none to learn from."""
        if wanted <= 0 or not rows:
            return []
        backend = self.backend
        table = LatencyTable(backend.identity, backend.kind, backend.source, ordered(rows))
        return next_ops(table, pool, refused.keys(), min(ROUND, wanted))

    def _answers(self, batch: Sequence[OpSpec]) -> Iterator[Timed | Refused]:
        """The answer to each operator of the batch, from the journal or the device."""
        for op in batch:
            if op in self.journal.answers:
                yield self.journal.answers[op]
        new = [op for op in batch if op not in self.journal.answers]
        if not new:
            return
        self._check_stop()
        answers = self.backend.measure(new)
        try:
            for answer in answers:
                self.journal.append(answer)
                yield answer
                self._check_stop()
        except DeviceLostError as error:
            raise DeviceLostError(f"{error}; {self.kept()}") from error

    def kept(self) -> str:
        """How many answers are safe, and how to go on."""
        count = len(self.journal.answers)
        if not count:
            return "nothing was measured"
        return (
            f"{count} answers are kept in {self.journal.path}: the same command (without "
            "--restart) goes on from there"
        )

    def _check_stop(self) -> None:
        if self.stop():
            raise KeyboardInterrupt

    def _with_leftovers(
        self, rows: dict[OpSpec, Measurement], refused: dict[OpSpec, str]
    ) -> Outcome:
        """Also what the journal has from a session with other flags: it was measured."""
        for op, answer in self.journal.answers.items():
            if isinstance(answer, Timed):
                rows.setdefault(op, answer.measurement)
            else:
                refused.setdefault(op, answer.reason)
        return Outcome(ordered(rows), ordered(refused))


def ordered(values: Mapping[OpSpec, V]) -> Mapping[OpSpec, V]:
    """The same in the order of `op_order`, read-only."""
    return MappingProxyType({op: values[op] for op in sorted(values, key=op_order)})


def _nothing_ran(backend: Backend, refused: Mapping[OpSpec, str]) -> str:
    reason = next(iter(refused.values()), "there was nothing to measure")
    return (
        f"{backend.identity.board} ran none of {len(refused)} operators, so there is no table; "
        f"the first reason: {reason}"
    )
