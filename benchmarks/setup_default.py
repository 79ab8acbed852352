"""What the benchmarks of the search share: the default's parts, and bases that are run once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from hybrid_nas.search.guided import make_sampler
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.progress import Box
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.worker import ScoredPair, Worker, losses
from hybrid_nas.threads import wait_passively

wait_passively()
optuna.logging.set_verbosity(optuna.logging.ERROR)

LIMITS = {"sram_bytes": 320 * 1024, "flash_bytes": 1024 * 1024}
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def settings_of(arguments: Any, **changes: Any) -> SearchSettings:
    """Settings of the default search, with files from the command line where given."""
    given = {name: getattr(arguments, name) for name in ("data", "supernet", "cloud", "threads")}
    return SearchSettings(**{**LIMITS, **given, **changes})


def add_common_flags(parser: Any) -> None:
    """Flags that all these benchmarks take."""
    parser.add_argument("--data", default="digits")
    parser.add_argument("--supernet", help="the bundled one")
    parser.add_argument("--cloud", help="the bundled one")
    parser.add_argument("--threads", type=int, default=1)


class SharedScorer(Scorer):
    """A scorer that takes over the base outputs of another one: same networks, other settings."""

    def __init__(self, first: Scorer, settings: SearchSettings) -> None:
        super().__init__(first.runner, first.data, first.clouds, settings)
        self._bases = first._bases
        self.cached_bases = 100_000  # every base is run once


def search_in_memory(setup: SearchSetup, scorer: Scorer) -> list[ScoredPair]:
    """All scored pairs of a search, without a run directory."""
    settings = setup.settings
    study = optuna.create_study(
        directions=[OBJECTIVES[name].direction for name in settings.objectives],
        sampler=make_sampler(setup.problem, settings),
    )
    worker = Worker(study, setup.problem, scorer, settings)
    worker.run()
    return worker.scored()


def front_share(setup: SearchSetup, pairs: list[ScoredPair]) -> float:
    """Hypervolume of scored pairs, as a share of the search's box."""
    box = Box.of(setup.problem, setup.settings)
    return box.share(losses(pairs, setup.settings.objectives))


__all__ = [
    "LIMITS",
    "RESULTS",
    "SharedScorer",
    "add_common_flags",
    "front_share",
    "search_in_memory",
    "settings_of",
]
