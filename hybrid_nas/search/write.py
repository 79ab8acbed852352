"""What a finished search writes: trials, the front, and a folder for each of its pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from hybrid_nas.hardware.patches import GRIDS
from hybrid_nas.search.elapsed import elapsed_seconds
from hybrid_nas.search.front import (
    FrontPair,
    describe_pair,
    describe_trials,
    judge,
    pareto_front,
)
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.pair_folders import settle
from hybrid_nas.search.progress import Box, hypervolume_history
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.worker import ScoredPair, Worker, losses
from hybrid_nas.spaces.interchange import architecture_to_json
from hybrid_nas.spaces.space import Genes, SearchSpace

SCHEMA = "hybrid-nas/pareto/1"


def write_documents(worker: Worker, setup: SearchSetup, directory: RunDirectory) -> dict[str, Any]:
    """Judge the front on the test split and write everything that describes the result."""
    settings, scored = setup.settings, worker.scored()
    table = losses(scored, settings.objectives)
    trials = describe_trials(scored, setup.scorer)
    history = hypervolume_history(table, Box.of(setup.problem, settings))
    elapsed = _elapsed(worker, scored)
    for row, volume, seconds in zip(trials["trials"], history, elapsed, strict=True):
        row["hypervolume"], row["elapsed_s"] = volume, round(seconds, 3)
    directory.write_json(directory.trials, trials)
    pairs = [judge(pair, setup.scorer) for pair in pareto_front(scored, settings)]
    settle(directory, [pair.scored.number for pair in pairs])
    entries = []
    for number, pair in enumerate(pairs, 1):
        entries.append(describe_pair(number, pair, setup.scorer, _latency_is(setup, pair)))
        entries[-1]["cost"] |= _patches(setup, pair)
        _write_pair(number, pair, setup, directory)
    document = _pareto_document(entries, setup)
    directory.write_json(directory.pareto, document)
    return document


def _elapsed(worker: Worker, scored: list[ScoredPair]) -> list[float]:
    """Seconds of search until each of these; workers elsewhere may have scored more meanwhile."""
    spans = {
        trial.number: (trial.datetime_start, trial.datetime_complete)
        for trial in worker.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if trial.datetime_start is not None and trial.datetime_complete is not None
    }
    found: list[float] = elapsed_seconds([spans[pair.number] for pair in scored]).tolist()
    return found


def _patches(setup: SearchSetup, pair: FrontPair) -> dict[str, Any]:
    """Which blocks run patch by patch, for pairs that have such; empty for others."""
    costs = setup.problem.evaluate(np.array([setup.problem.candidates.row(pair.scored.candidate)]))
    grid, blocks = int(costs.patch_grid[0]), int(costs.patched_blocks[0])
    return {} if grid < 0 else {"patches": {"blocks": blocks, "grid": str(GRIDS[grid])}}


def _latency_is(setup: SearchSetup, pair: FrontPair) -> str | None:
    """Measured, predicted or emulated; None without a latency table."""
    problem = setup.problem
    if problem.costs.latency is None:
        return None
    row = np.array([problem.candidates.row(pair.scored.candidate)])
    return problem.costs.latency.kind_of(problem.evaluate(row).measured[0])


def _write_pair(number: int, pair: FrontPair, setup: SearchSetup, directory: RunDirectory) -> None:
    folder, candidate = directory.pair(number), pair.scored.candidate
    _write_network(folder, "", setup.space, candidate.genes, directory)
    if setup.cloud_costs is not None and candidate.cloud is not None:
        _write_network(folder, "cloud_", setup.cloud_costs.space, candidate.cloud, directory)
    directory.write_json(folder / "router.json", pair.router.to_dict())
    curves = {name: values for name, values in pair.curves.items() if name != "coverage"}
    directory.write_json(
        folder / "curves.json",
        {"split": "test", "coverage": pair.curves["coverage"], "accuracy": curves},
    )


def _write_network(
    folder: Path, prefix: str, space: SearchSpace, genes: Genes, directory: RunDirectory
) -> None:
    architecture = architecture_to_json(space.architecture(genes))
    directory.write_json(folder / f"{prefix}architecture.json", architecture)
    found = {"space": space.name, "genes": space.to_dict(genes)}
    directory.write_json(folder / f"{prefix}genes.json", found)


def _pareto_document(entries: list[dict[str, Any]], setup: SearchSetup) -> dict[str, Any]:
    settings, limits = setup.settings, setup.limits
    kinds = [OBJECTIVES[name] for name in settings.objectives]
    cloud = None
    if setup.cloud is not None:
        cloud = {
            "name": setup.cloud.name,
            "accuracy": setup.cloud_accuracy(),
            "latency_ms": settings.cloud_ms,
            "uplink_ms": settings.uplink_ms,
            **({} if setup.cloud_costs is None else {"chosen_per_pair": True}),
        }
    return {
        "schema": SCHEMA,
        "limits": {
            "sram_bytes": limits.sram_bytes,
            "flash_bytes": limits.flash_bytes,
            "latency_ms": limits.latency_ms,
        },
        "board": settings.board,
        "runtime": settings.runtime,
        "latency_table": None if setup.table is None else setup.table.name,
        "coverages": list(settings.coverages),
        "target_coverage": settings.target_coverage,
        "objective": {
            "names": [kind.label(settings.target_coverage) for kind in kinds],
            "directions": [kind.direction for kind in kinds],
        },
        "data": {"name": setup.data.name, "test_images": len(setup.data.split("test"))},
        "pairs": entries,
        "cloud": cloud,
    }
