"""What the search itself costs per trial when scoring costs nothing.

    python -m benchmarks.engine_overhead [--sampler random] [--at 10 1000 10000] [--storage URL]

The real study, sampler, storage and progress on the bundled task; only the scorer is replaced, by
one that makes its figures from the costs. A study is filled with as many finished trials as are
asked for, opened anew, and the next trials are timed one by one: everything between two scorings.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import platform
import pstats
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import optuna
import sqlalchemy as sa
from optuna.distributions import IntDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.study import Study
from optuna.trial import TrialState

from hybrid_nas.hardware.cost import Costs
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.identity import Identity
from hybrid_nas.search.join import open_study
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.progress import ProgressMeter
from hybrid_nas.search.reclaim import WORKER
from hybrid_nas.search.sampler import CANDIDATE
from hybrid_nas.search.score import FIGURES, AtCoverage, PairFigures
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.storage import open_storage, sqlite_url
from hybrid_nas.search.storage_rdb import Database
from hybrid_nas.search.worker import Worker, objective_values


class StubScorer:
    """Figures of the size and shape of real ones, without running a network.

    The accuracy rises with the logarithm of the operations, with a wiggle of the genes' own.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self.times: list[tuple[float, float]] = []

    def score(self, candidate: Candidate, costs: Costs) -> PairFigures:
        """The pair's figures; the moment is noted."""
        self.times.append((time.perf_counter(), time.process_time()))
        macs, latency = int(costs.macs[0]), float(costs.latency_ms[0])
        wiggle = (hash(candidate.genes) % 1000) / 1e4
        accuracy = min(0.5 + 0.03 * float(np.log(macs / 1e4)) + wiggle, 1.0)
        at = {
            coverage: AtCoverage(
                accuracy=accuracy,
                stderr=0.01,
                coverage=coverage,
                mean_latency_ms=latency + (1 - coverage) * 2000,
                p95_latency_ms=latency + 2000,
                loss=1 - accuracy,
                loss_stderr=0.01,
            )
            for coverage in self.settings.coverages
        }
        return PairFigures(
            at=at,
            auc=accuracy,
            base_accuracy=accuracy,
            method="stub",
            sram_bytes=int(costs.sram_bytes[0]),
            flash_bytes=int(costs.flash_bytes[0]),
            edge_latency_ms=latency,
            macs=macs,
            params=int(costs.params[0]),
            seconds={"network": 0.0, "router": 0.0},
        )


def fill(
    study: Study, backend: Database, problem: Problem, scorer: StubScorer, trials: int
) -> None:
    """Give the study finished trials with the candidates of a random search."""
    rng = np.random.default_rng(0)
    sizes, rows = problem.candidates.sizes, []
    known: set[tuple[int, ...]] = set()
    while len(rows) < trials:
        drawn = problem.candidates.sample(2048, rng)
        for row in drawn[problem.fits(drawn)]:
            canonical = problem.candidates.row(problem.candidates.candidate(row))
            if canonical not in known:
                known.add(canonical)
                rows.append(row)
    study_id, now = study._study_id, datetime.now(UTC).replace(tzinfo=None)
    trial, param = models.TrialModel.__table__, models.TrialParamModel.__table__
    attribute, value = models.TrialUserAttributeModel.__table__, models.TrialValueModel.__table__
    finite = models.TrialValueModel.TrialValueType.FINITE
    texts = [distribution_to_json(IntDistribution(0, size - 1)) for size in sizes.values()]
    with backend.engine.begin() as connection:  # by Optuna's own calls, 10,000 take half an hour
        first = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(trial.c.trial_id), 0))) + 1
        for number, row in enumerate(rows[:trials]):
            candidate = problem.candidates.candidate(row)
            figures = scorer.score(candidate, problem.evaluate(row[None]))
            mine = {"trial_id": first + number}
            ended = {"state": TrialState.COMPLETE, "datetime_start": now, "datetime_complete": now}
            connection.execute(
                sa.insert(trial), {**mine, "number": number, "study_id": study_id, **ended}
            )
            columns = zip(sizes, row.tolist(), texts, strict=True)
            connection.execute(
                sa.insert(param),
                [
                    {**mine, "param_name": n, "param_value": v, "distribution_json": t}
                    for n, v, t in columns
                ],
            )
            values = enumerate(objective_values(figures, scorer.settings))
            connection.execute(
                sa.insert(value),
                [{**mine, "objective": k, "value": v, "value_type": finite} for k, v in values],
            )
            attributes = {
                CANDIDATE: list(problem.candidates.row(candidate)),
                FIGURES: figures.to_dict(),
                WORKER: Identity.here().to_dict(),
            }
            connection.execute(
                sa.insert(attribute),
                [{**mine, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()],
            )


def milliseconds(
    setup: SearchSetup, trials: int, timed: int, storage: str | None, profile: bool
) -> tuple[float, float, float, float]:
    """Overhead of a trial: median wall and CPU time, worst wall time; and opening the study."""
    with tempfile.TemporaryDirectory() as folder:
        url = storage or sqlite_url(Path(folder) / "study.db")
        name = f"overhead-{trials}-{time.time_ns()}"
        settings = replace(setup.settings, trials=trials + timed)
        scorer = StubScorer(settings)
        backend = open_storage(url)
        assert isinstance(backend, Database), "only databases are filled fast enough"
        fill(open_study(setup, url, name), backend, setup.problem, scorer, trials)
        scorer.times.clear()
        begun = time.perf_counter()
        worker = Worker(open_study(setup, url, name), setup.problem, scorer, settings)
        worker.scored()
        opened = time.perf_counter() - begun
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        worker.run(ProgressMeter(setup.problem, settings, lambda state: None))
        if profile:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)
        gaps = 1e3 * np.diff(scorer.times, axis=0)
        return (*np.median(gaps, axis=0).tolist(), gaps.max(axis=0)[0].item(), 1e3 * opened)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sampler", default=SearchSettings().sampler)
    parser.add_argument("--at", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--timed", type=int, default=30, help="trials to time at each size")
    parser.add_argument("--storage", help="storage URL; a SQLite file in a temporary folder")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    arguments = parser.parse_args()
    setup = SearchSetup(SearchSettings(sampler=arguments.sampler, threads=1))
    print(f"{platform.machine()}, Python {platform.python_version()}, Optuna {optuna.__version__}")
    print("| sampler | trials before | median ms | its CPU ms | slowest ms | opening ms |")
    print("|---|---|---|---|---|---|")
    for trials in arguments.at:
        median, cpu, most, opened = milliseconds(
            setup, trials, arguments.timed, arguments.storage, arguments.profile
        )
        figures = " | ".join(f"{value:.0f}" for value in (median, cpu, most, opened))
        print(f"| {arguments.sampler} | {trials} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
