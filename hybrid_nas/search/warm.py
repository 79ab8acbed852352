"""Scores of earlier runs as the start of a new search: ``--warm-start RUN``.

What carries over is what base and router do to the inputs; whatever has a price is computed anew
(`carry`), so the earlier run may have had another board, other limits, another table or uplink. Its
data, its networks and its cloud must be the same.

Earlier candidates inform the predictor. They are no trials of the new search: what still looks good
is proposed, and scored, again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import TrialState

from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_text
from hybrid_nas.guided import History
from hybrid_nas.search.carry import Carrier
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.sampler import CANDIDATE
from hybrid_nas.search.score import FIGURES, PairFigures
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.storage import load_study, open_storage

ATTRIBUTE = "warm-start"
"""User attribute of a study: rows and losses of earlier runs."""
_FILE = "warm-start.json"
_SAME = {"data": "data", "supernet": "supernet", "space": "search space", "cloud": "cloud"}


@dataclass(frozen=True, eq=False)
class EarlierRun:
    """What one run gives.

    Attributes:
        path: its directory, as the user wrote it.
        study: SHA-256 of its scored candidates and their figures.
        scores: of its candidates, (n, columns of this search) and (n, objectives).
        left_out: candidates whose router this search does not have.
    """

    path: str
    study: str
    scores: History
    left_out: int

    def describe(self, objectives: tuple[str, ...]) -> dict[str, Any]:
        """Its entry in ``run.yaml``: how many scores carried over, by objective."""
        known = np.isfinite(self.scores.losses).sum(axis=0).tolist()
        return {
            "run": self.path,
            "study": self.study,
            "candidates": len(self.scores),
            "without_router": self.left_out,
            "carried": dict(zip(objectives, known, strict=True)),
        }


def earlier_runs(setup: SearchSetup, digests: Mapping[str, str | None]) -> list[EarlierRun]:
    """Read the runs that `SearchSettings.warm_start` names.

    Args:
        setup: of the new search.
        digests: of what its results depend on (`provenance.hashes`).

    Raises:
        InputError: a run is none, has no scores, or nothing of them means the same here.
    """
    return [_read(path, setup, digests) for path in setup.settings.warm_start]


def _read(path: str, setup: SearchSetup, digests: Mapping[str, str | None]) -> EarlierRun:
    directory, problem, settings = RunDirectory(Path(path)), setup.problem, setup.settings
    record = directory.read_settings()
    earlier = SearchSettings.from_dict(record["settings"])
    # clouds that are chosen are calibrated, as bases are: another draw of images will do
    cloud = setup.clouds.fingerprint_of(setup.calibration_of(earlier))
    _check_same(path, record["hashes"], {**digests, "cloud": cloud})
    if earlier.router_objective != settings.router_objective:
        raise InputError(
            f"--warm-start {path}: its routers learnt {earlier.router_objective} and this search's "
            f"learn {settings.router_objective}: give --router-objective "
            f"{earlier.router_objective}, or leave it out"
        )
    carrier = Carrier(problem, settings, earlier)
    rows, losses, digest, left_out = [], [], [], 0
    for row, figures in _trials(directory):
        digest.append([row, figures])
        router = earlier.routers[row[-1]]
        if router not in settings.routers:
            left_out += 1
            continue
        row = [*row[:-1], settings.routers.index(router)]
        candidate = problem.candidates.candidate(np.array(row))
        rows.append(problem.candidates.row(candidate))
        losses.append(carrier.losses(candidate, PairFigures.from_dict(figures)))
    if not rows:
        raise InputError(f"--warm-start {path}: it has no scored candidate with these routers")
    scores = History(np.array(rows, np.int64), np.array(losses, np.float64))
    _check_useful(path, scores, settings)
    return EarlierRun(path, sha256_of_text(json.dumps(digest)), scores, left_out)


def _trials(directory: RunDirectory) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Canonical rows and stored figures of a run's scored candidates, in order."""
    place = directory.place()
    if not place.outside and not directory.study.is_file():
        raise InputError(f"--warm-start {directory.path}: it has no {directory.study.name}")
    name = place.name if place.outside else None  # its only one, also where the folder was renamed
    study = load_study(open_storage(place.url, create=False), name, place.url)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        yield trial.user_attrs[CANDIDATE], trial.user_attrs[FIGURES]


def _check_same(
    path: str, recorded: Mapping[str, str | None], digests: Mapping[str, str | None]
) -> None:
    for name, words in _SAME.items():
        if recorded.get(name) != digests[name]:
            raise InputError(
                f"--warm-start {path}: its {words} is another than this search's, so that its "
                "scores mean something else: leave it out"
            )


def _check_useful(path: str, scores: History, settings: SearchSettings) -> None:
    lost = [
        OBJECTIVES[name].label(settings.target_coverage)
        for k, name in enumerate(settings.objectives)
        if not np.isfinite(scores.losses[:, k]).any()
    ]
    if lost:
        raise InputError(
            f"--warm-start {path}: it says nothing about {', '.join(lost)}: give it the same "
            "--coverage, budget or --max-loss, or leave it out"
        )


def begin_warm(
    setup: SearchSetup, digests: Mapping[str, str | None], directory: RunDirectory
) -> dict[str, Any]:
    """Keep what earlier runs give in the run directory: the earlier runs may go or change.

    Returns:
        What ``run.yaml`` says about it; nothing without `settings.warm_start`.

    Raises:
        InputError: as `earlier_runs`.
    """
    settings = setup.settings
    if not settings.warm_start:
        return {}
    runs = earlier_runs(setup, digests)
    directory.write_json(directory.path / _FILE, all_scores(runs))
    return {"warm_start": [run.describe(settings.objectives) for run in runs]}


def store_warm_start(study: Study, directory: RunDirectory) -> None:
    """Put what `begin_warm` kept into a study that does not have it yet, for all its processes."""
    path = directory.path / _FILE
    if path.is_file() and ATTRIBUTE not in study.user_attrs:
        study.set_user_attr(ATTRIBUTE, json.loads(path.read_text()))


def all_scores(runs: list[EarlierRun]) -> dict[str, Any]:
    """All scores of the runs; of pairs that several scored, those of the run that says most.

    Of runs that say as much it is the first. (Under a budget a pair's score may not carry over.)
    """
    rows = np.concatenate([run.scores.rows for run in runs]).tolist()
    losses = np.concatenate([run.scores.losses for run in runs])
    unknown = np.isnan(losses).sum(axis=1)
    best: dict[tuple[int, ...], int] = {}
    for k in np.argsort(unknown, kind="stable").tolist():
        best.setdefault(tuple(rows[k]), k)
    kept = sorted(best.values())
    return {
        "rows": [rows[k] for k in kept],
        "losses": [[v if np.isfinite(v) else None for v in losses[k].tolist()] for k in kept],
    }


def read_warm_start(study: Study) -> History | None:
    """The scores of earlier runs that a study holds."""
    found = study.user_attrs.get(ATTRIBUTE)
    if found is None:
        return None
    losses = [[np.nan if v is None else v for v in row] for row in found["losses"]]
    return History(np.array(found["rows"], np.int64), np.array(losses, np.float64))
