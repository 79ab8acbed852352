"""From a device to a table in a file: plan, measure, write; what ``latency build`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_errors import with_held_out
from hybrid_nas.hardware.latency_files import load_table, save_table, table_fingerprint
from hybrid_nas.hardware.latency_table import LatencyTable, Measurement
from hybrid_nas.profiling.backend import Backend
from hybrid_nas.profiling.journal import Journal, has_base, journal_path
from hybrid_nas.profiling.measuring import Measuring, Report, ordered
from hybrid_nas.profiling.open import admits_of
from hybrid_nas.profiling.plan import plan_ops
from hybrid_nas.profiling.pool import board_limits, distinct, op_class, op_pool
from hybrid_nas.profiling.validation import require_identity
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace

_PLANNED = 0.8
"""Share of the budget that is planned; the rest goes where the predictor is least sure."""


@dataclass(frozen=True)
class BuildJob:
    """What to measure, and where to keep it.

    Attributes:
        space: whose operators are planned.
        out: the table's file.
        budget: operators to measure; by default those of `ops`, or what the backend proposes.
        ops: the user's own list, instead of a plan.
        seed: of the plan.
        extend: add to the table that is there.
        restart: begin anew: discard an interrupted session, replace the table at the end.
    """

    space: SearchSpace
    out: Path
    budget: int | None = None
    ops: tuple[OpSpec, ...] = ()
    seed: int = 0
    extend: bool = False
    restart: bool = False

    def __post_init__(self) -> None:
        if self.extend and self.restart:
            raise InputError("--extend and --restart exclude each other: give one of them")

    def rows_wanted(self, backend: Backend) -> int:
        """How many operators to measure."""
        if self.budget is not None:
            return self.budget
        return len(distinct(self.ops)) if self.ops else backend.default_budget

    def check_out(self) -> None:
        """Refuse to touch a finished table unless told to; cheap, before a device is opened.

        Raises:
            InputError: there is one, or a folder of that name.
        """
        if self.out.is_dir():
            raise InputError(f"--out {self.out} is a folder: give the name of a file in it")
        begun = journal_path(self.out).exists()
        if self.out.exists() and not (begun or self.extend or self.restart):
            raise InputError(
                f"{self.out} is there already: --extend measures more into it, --restart replaces "
                "it, --out FILE writes another"
            )
        if self.extend and not self.out.exists():
            raise InputError(f"--extend: there is no table {self.out} to extend")


@dataclass(frozen=True)
class Built:
    """A table that was written.

    Attributes:
        table: its contents.
        path: its file.
        new: rows that it did not have before.
        refused: operators that the device could not run, and why.
    """

    table: LatencyTable
    path: Path
    new: int
    refused: Mapping[OpSpec, str] = field(default_factory=dict)

    @property
    def rows_per_class(self) -> dict[str, int]:
        """Number of rows of each class of operators that has any."""
        return dict(Counter(map(op_class, self.table.rows)))


def build_table(
    job: BuildJob,
    backend: Backend,
    *,
    report: Report = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> Built:
    """Measure what the job asks for and write the table; goes on where a session was interrupted.

    Raises:
        InputError: a table or journal is there that this job must not touch, or is of another
            device.
        DeviceLostError, KeyboardInterrupt, HybridNasError: as in `Measuring.run`; what was
            measured is in the journal.
    """
    job.check_out()
    path = journal_path(job.out)
    if job.restart:
        path.unlink(missing_ok=True)
    before = _table_before(job, backend, path)
    journal = Journal(path, backend.identity, table_fingerprint(before) if before else "")
    known: Mapping[OpSpec, Measurement] = before.rows if before else {}
    limits, admits = board_limits(backend.identity.board), admits_of(backend)
    only_listed = bool(job.ops) and job.budget is None
    pool = [] if only_listed else op_pool(job.space, limits, admits)
    plan, wanted = distinct(job.ops), job.rows_wanted(backend)
    if not plan and not known:
        planned = max(1, int(_PLANNED * wanted))
        plan = plan_ops(job.space, planned, job.seed, limits=limits, admits=admits, pool=pool)
    measuring = Measuring(backend, journal, known, report, stop)
    outcome = measuring.run(plan, pool, wanted)
    table = with_held_out(
        LatencyTable(
            identity=backend.identity,
            kind=backend.kind,
            source=backend.source,
            rows=ordered(outcome.rows),
            name=job.out.stem,
        )
    )
    save_table(table, job.out)
    journal.remove()
    return Built(table, job.out, len(table.rows) - len(known), outcome.refused)


def _table_before(job: BuildJob, backend: Backend, journal: Path) -> LatencyTable | None:
    """The table that is being extended; an interrupted session knows whether it extends one."""
    if not (job.extend or has_base(journal)) or not job.out.exists():
        return None
    table = load_table(job.out)
    require_identity(table, backend)
    return replace(table, name=job.out.stem)
