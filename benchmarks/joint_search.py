"""Is searching base and router together better than the best base first, then its router?

    python benchmarks/joint_search.py [--trials 80] [--seeds 20] [--boards 1]
        [--coverage 0.7] [--trained-seeds 5] [--steps 1000] [--out FILE]

For each board, both ways get the same number of evaluations. *Joint*: the search as it is.
*Base first*: most evaluations search for the front of base accuracy and device latency with no
router at all; the rest go to the router designs beside that front's bases, best base first. Both
ways' fronts are judged once on the test split: hypervolume of what the thresholds do there. The
favourite, which is the pair that each way's score split likes best, is trained to the end for the
first few seeds and judged in int8 on images that nothing has seen: new renderings of the test
digits, or, on other data, the test split. There the ways are compared at equal coverage, and by the
mean latency that each needs for the same accuracy, which is what the worse of the two comes to.
Prints means of the differences with 95 % intervals over seeds.

With --out, every search and every trained favourite is a line of JSON, and what is there is not
done again: give each supernet, and each coverage that is aimed at, a file of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joint_ways import COVERAGES, CURVE, Found, base_first, least_latency_ms, on_test, trained_curve
from json_lines import add_lines, read_lines
from setup_default import SharedScorer, add_common_flags, search_in_memory, settings_of

from hybrid_nas.routing.ranking import Curve
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup

BOARDS: dict[str, dict[str, Any]] = {
    "stm32f746, 320 KB / 1 MB": {},
    "stm32h743, 64 KB / 512 KB": {
        "board": "stm32h743",
        "sram_bytes": 64 * 1024,
        "flash_bytes": 512 * 1024,
    },
    "stm32l4r5, 48 KB / 384 KB (X-CUBE-AI)": {
        "board": "stm32l4r5",
        "runtime": "x-cube-ai",
        "sram_bytes": 48 * 1024,
        "flash_bytes": 384 * 1024,
    },
}


class Known:
    """Results by key, in a file of JSON lines if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._values = {record["key"]: record["value"] for record in read_lines(path)}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """What is known by a key, made and written down first if it is not."""
        if key not in self._values:
            self._values[key] = make()
            print(f"{key}: {self._values[key]}", flush=True)
            add_lines(self._path, [{"key": key, "value": self._values[key]}])
        return self._values[key]


def difference(name: str, ways: Sequence[Sequence[float]], unit: str = "") -> str:
    """Means of both ways, and of what joint is above base first, with its interval."""
    joint, first = ways
    gain = np.array(joint) - np.array(first)
    half = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return (
        f"  {name}: {np.mean(joint):.4g} joint, {np.mean(first):.4g} base first, "
        f"difference {gain.mean():+.3g} ± {half:.2g}{unit}; "
        f"ahead {(gain > 0).sum()}, behind {(gain < 0).sum()} of {len(gain)}"
    )


class Comparison:
    """Both ways on one board, seed by seed.

    Args:
        board: name and settings.
        given: the command line.
        shared: whose base outputs all searches share.
        known: what was found before.
    """

    def __init__(
        self,
        board: tuple[str, dict[str, Any]],
        given: argparse.Namespace,
        shared: Scorer,
        known: Known,
    ) -> None:
        self.name, self._board = board
        self._given, self._shared, self._known = given, shared, known

    @cached_property
    def _setup(self) -> SearchSetup:
        """Data and cloud of all trainings."""
        return SearchSetup(self.settings(0))

    def settings(self, seed: int) -> SearchSettings:
        """Of the search with a seed."""
        given = self._given
        return settings_of(
            given,
            trials=given.trials,
            target_coverage=given.coverage,
            seed=seed,
            **self._board,
        )

    def found(self, way: str, seed: int) -> Found:
        """What `joint` or `base first` comes to."""

        def search() -> dict[str, Any]:
            settings = self.settings(seed)
            setup, scorer = SearchSetup(settings), SharedScorer(self._shared, settings)
            if way == "joint":
                pairs = search_in_memory(setup, scorer)
            else:
                pairs = base_first(settings, self._shared)
            return asdict(on_test(pairs, setup, scorer))

        return Found.read(
            self._known.get(f"{self.name}, {self._given.trials} trials, seed {seed}, {way}", search)
        )

    def trained(self, favourite: Candidate) -> Curve:
        """Hybrid accuracy over coverage of a favourite after final training."""

        def train() -> list[float]:
            return trained_curve(self._setup, favourite, self._given.steps).accuracy.tolist()

        genes = " ".join(map(str, favourite.genes))
        key = f"trained {self._given.steps} steps, curve: {favourite.router} {genes}"
        return Curve(CURVE, np.array(self._known.get(key, train)))

    def compare_trained(self, pairs: Sequence[tuple[Found, Found]]) -> None:
        """Print accuracy at equal coverage, and mean latency at equal accuracy."""
        query = self.settings(0).query
        assert query is not None
        # seed by seed, so that what is cut short has pairs
        curves = [[self.trained(found.favourite) for found in both] for both in pairs]
        for coverage in COVERAGES:
            accuracy = np.array([[100 * curve.at(coverage) for curve in both] for both in curves])
            print(difference(f"trained favourite at {coverage:g}", accuracy.T.tolist(), " points"))
            latency = [  # of each way, at what the worse of the two comes to at this coverage
                [
                    least_latency_ms(curve, level / 100, found.edge_ms, query.mean_ms)
                    for curve, found in zip(both, favourites, strict=True)
                ]
                for both, favourites, level in zip(curves, pairs, accuracy.min(axis=1), strict=True)
            ]
            ways = np.array(latency).T.tolist()
            print(difference("  its mean latency at the lower accuracy of both", ways, " ms"))

    def report(self) -> None:
        """Search, train and print the differences."""
        given = self._given
        joint, first = [], []
        for seed in range(given.seeds):
            joint.append(self.found("joint", seed))
            first.append(self.found("base first", seed))
        aim = f"aimed at a coverage of {given.coverage:g}"
        print(f"{self.name}, {given.seeds} seeds, {given.trials} evaluations each, {aim}")
        print(
            difference(
                "share of the box", [[found.share for found in way] for way in (joint, first)]
            )
        )
        latency = [[found.edge_ms for found in way] for way in (joint, first)]
        print(difference("favourite's device latency", latency, unit=" ms"), flush=True)
        pairs = list(zip(joint, first, strict=True))[: given.trained_seeds]
        if pairs:
            self.compare_trained(pairs)


def main() -> None:
    """Search both ways seed by seed, then train the favourites."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--boards", type=int, default=len(BOARDS), help="the first so many")
    parser.add_argument("--coverage", type=float, default=0.7, help="that both ways aim at")
    parser.add_argument("--trained-seeds", type=int, default=5, help="0: nothing is trained")
    parser.add_argument("--steps", type=int, default=1000, help="of final training")
    parser.add_argument("--out", type=Path, help="JSON lines: what was found, and is not redone")
    add_common_flags(parser)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    known = Known(given.out)
    shared = SearchSetup(settings_of(given)).scorer
    for board in list(BOARDS.items())[: given.boards]:
        Comparison(board, given, shared, known).report()


if __name__ == "__main__":
    main()
