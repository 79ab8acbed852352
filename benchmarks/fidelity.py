"""Does the score find the pairs that are best after final training?

    python benchmarks/fidelity.py RUN [--out docs/results/fidelity.csv] [--steps 1000] [--seeds 1]
    python benchmarks/fidelity.py RUN --only-report

RUN is a finished search. Forty of its space's pairs are trained fully, int8: twenty across its
front, and twenty feasible ones of one latency decile, drawn at random. A row per pair is written
as it finishes, and a row that is there is not trained again, so the study may be stopped at any
time. Prints Kendall's tau between score and final accuracy with its bootstrap interval, how much
final training adds by size and depth, and the regret: how far the pair with the best score is from
the best of them, on the test split.

All pairs see the same training images, which are rendered once, and so is the cloud's answer.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from final_pair import pair_trainer
from scipy.stats import kendalltau, spearmanr
from torch import Tensor

from hybrid_nas.data.dataset import Dataset, ImageSet, Split
from hybrid_nas.files import atomic_write
from hybrid_nas.routing.scoring import exact_accuracy
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.spaces.blocks import MBConvBlock
from hybrid_nas.threads import wait_passively
from hybrid_nas.training.job import RunPair
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.training.trainer import PairTrainer
from hybrid_nas.typing import FloatArray

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
TARGET = 0.7
DECILE = 6
"""Of the latencies of feasible candidates; 0 is the fastest tenth."""
_DRAWN = 4000
_REDRAWS = 2000


@dataclass(frozen=True)
class Row:
    """One pair: what the search said of it, and what it became. Accuracies are fractions.

    Attributes:
        group: ``front`` or ``decile``.
        genes, router: the pair.
        score: hybrid accuracy at 70 % coverage on the score split, by which the search selects.
        before, after: the same on the test split in int8, before and after final training.
        base_before, base_after: of the base alone, on the test split in int8.
    """

    group: str
    seed: int
    genes: str
    router: str
    latency_ms: float
    macs: int
    resolution: int
    depth: int
    score: float
    score_base: float
    before: float
    after: float
    base_before: float
    base_after: float


class SharedImages:
    """A data set that renders each pool of training images once, for all pairs."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._pools: dict[tuple[int, int], ImageSet] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._data, name)

    def split(self, name: Split) -> ImageSet:
        """As the data set's."""
        return self._data.split(name)

    def training_images(self, n: int, seed: int) -> ImageSet:
        """As the data set's, rendered once."""
        if (n, seed) not in self._pools:
            self._pools[n, seed] = self._data.training_images(n, seed)
        return self._pools[n, seed]


class SharedTeacher:
    """A teacher that answers each batch once, for all pairs."""

    def __init__(self) -> None:
        self.ask: Callable[[Tensor], Tensor] | None = None
        self._answers: dict[int, Tensor] = {}

    def __call__(self, pixels: Tensor) -> Tensor:
        """Soft labels of a batch."""
        assert self.ask is not None
        key = hash(pixels.numpy().tobytes())
        if key not in self._answers:
            self._answers[key] = self.ask(pixels)
        return self._answers[key]


def front_candidates(setup: SearchSetup, directory: RunDirectory, count: int) -> list[Candidate]:
    """Pairs spread evenly over the front."""
    pairs = json.loads(directory.pareto.read_text())["pairs"]
    index = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    return [
        Candidate(setup.space.from_dict(pairs[k]["base"]["genes"]), pairs[k]["router"]["kind"])
        for k in index.tolist()
    ]


def decile_candidates(setup: SearchSetup, count: int, seed: int) -> list[Candidate]:
    """Feasible pairs of one decile of latency, drawn at random."""
    rng = np.random.default_rng(seed)
    problem = setup.problem
    rows = problem.candidates.canonical(problem.candidates.sample(_DRAWN, rng))
    rows = np.unique(rows, axis=0)
    rows = rows[problem.fits(rows)]
    latency = problem.evaluate(rows).latency_ms
    low, high = np.quantile(latency, [DECILE / 10, (DECILE + 1) / 10])
    inside = np.flatnonzero((latency >= low) & (latency < high))
    return [problem.candidates.candidate(rows[k]) for k in rng.permutation(inside)[:count]]


def test_figures(trainer: PairTrainer) -> tuple[float, float]:
    """Hybrid accuracy at the target and base accuracy on the test split, router fitted now."""
    router = trainer.fit_router()
    outputs = trainer.base.outputs(trainer.data.split("test"), "the base on split test")
    correct = None if trainer.cloud is None else trainer.cloud.answers("test").correct
    hybrid = exact_accuracy(router.send_score(outputs), outputs, correct, TARGET)
    return hybrid.value, float(outputs.correct.mean())


def study(run: Path, out: Path, steps: int, seeds: int) -> None:
    """Train what is missing, row by row."""
    directory = RunDirectory(run)
    setup = RunPair(directory, 1).setup
    setup.__dict__["data"] = SharedImages(setup.data)
    teacher = SharedTeacher()
    groups = {
        "front": front_candidates(setup, directory, 20),
        "decile": decile_candidates(setup, 20, seed=0),
    }
    rows = read(out)
    done = {(row.seed, row.genes, row.router) for row in rows}
    for seed in range(seeds):
        for group, candidates in groups.items():
            for candidate in candidates:
                genes = " ".join(map(str, candidate.genes))
                if (seed, genes, candidate.router) in done:
                    continue
                rows.append(train_one(setup, candidate, group, steps, seed, teacher))
                write(out, rows)
                row = rows[-1]
                print(
                    f"{len(rows)} {group} {row.latency_ms:.1f} ms score {100 * row.score:.2f} "
                    f"before {100 * row.before:.2f} after {100 * row.after:.2f}",
                    flush=True,
                )


def train_one(
    setup: SearchSetup,
    candidate: Candidate,
    group: str,
    steps: int,
    seed: int,
    teacher: SharedTeacher,
) -> Row:
    """Score a pair, train it, and look at the test split before and after."""
    costs = setup.problem.evaluate(np.array([setup.problem.candidates.row(candidate)]))
    figures = setup.scorer.score(candidate, costs)
    coverages, recipe = setup.settings.coverages, FinalRecipe(steps=steps, seed=seed)
    trainer = pair_trainer(setup, candidate, coverages, TARGET, recipe)
    cloud = trainer.cloud
    if cloud is not None and cloud.teacher is not None:
        teacher.ask = teacher.ask or cloud.teacher
        cloud.teacher = teacher
    before, base_before = test_figures(trainer)
    trainer.run()
    after, base_after = test_figures(trainer)
    architecture = setup.space.architecture(candidate.genes)
    return Row(
        group=group,
        seed=seed,
        genes=" ".join(map(str, candidate.genes)),
        router=candidate.router,
        latency_ms=figures.edge_latency_ms,
        macs=figures.macs,
        resolution=architecture.resolution,
        depth=sum(isinstance(block, MBConvBlock) for block in architecture.blocks),
        score=figures.at[TARGET].accuracy,
        score_base=figures.base_accuracy,
        before=before,
        after=after,
        base_before=base_before,
        base_after=base_after,
    )


def read(path: Path) -> list[Row]:
    """Rows of an earlier part of the study."""
    if not path.is_file():
        return []
    kinds = {name: field.type for name, field in Row.__dataclass_fields__.items()}
    convert = {"int": int, "float": float, "str": str}
    with path.open() as stream:
        return [
            Row(**{name: convert[str(kinds[name])](text) for name, text in row.items()})
            for row in csv.DictReader(stream)
        ]


def write(path: Path, rows: list[Row]) -> None:
    """All rows, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    atomic_write(path, text.getvalue())


def report(rows: list[Row]) -> None:
    """What the rows say, group by group."""
    for group in ("front", "decile"):
        mine = [row for row in rows if row.group == group]
        if len(mine) < 3:
            continue
        # seeds of a pair are averaged: what differs between them is not what the score predicts
        pairs = sorted({(row.genes, row.router) for row in mine})
        by_pair = [[r for r in mine if (r.genes, r.router) == pair] for pair in pairs]
        score = np.array([seeds[0].score for seeds in by_pair])
        before = np.array([np.mean([r.before for r in seeds]) for seeds in by_pair])
        after = np.array([np.mean([r.after for r in seeds]) for seeds in by_pair])
        macs = np.array([float(seeds[0].macs) for seeds in by_pair])
        depth = np.array([float(seeds[0].depth) for seeds in by_pair])
        low, high = tau_interval(score, after)
        tau = kendalltau(score, after).statistic
        chosen, best = int(score.argmax()), int(after.argmax())
        print(f"{group}: {len(by_pair)} pairs, {mine[0].latency_ms:.1f} ms and others")
        print(f"  tau score to final accuracy {tau:.2f} [{low:.2f}, {high:.2f}]")
        print(f"  tau int8 before to final {kendalltau(before, after).statistic:.2f}")
        print(f"  final accuracy {_percent(after.min())} to {_percent(after.max())}")
        gain = after - score
        print(f"  final minus score: mean {_percent(gain.mean())}, sd {_percent(gain.std(ddof=1))}")
        print(
            f"  its rank correlation with MACs {spearmanr(gain, macs).statistic:+.2f}, "
            f"with depth {spearmanr(gain, depth).statistic:+.2f}"
        )
        print(
            f"  regret of the best score: {_percent(after[best] - after[chosen])} points; "
            f"of a random pair {_percent((after[best] - after).mean())}"
        )


def tau_interval(score: FloatArray, after: FloatArray) -> tuple[float, float]:
    """95 % bootstrap interval of Kendall's tau over pairs."""
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(score), (_REDRAWS, len(score)))
    taus = np.array([kendalltau(score[pick], after[pick]).statistic for pick in picks])
    low, high = np.nanquantile(taus, [0.025, 0.975])
    return float(low), float(high)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def main() -> None:
    """Parse, train, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "fidelity.csv")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only-report", action="store_true")
    given = parser.parse_args()
    wait_passively()
    torch.set_num_threads(given.threads)
    if not given.only_report:
        study(given.run, given.out, given.steps, given.seeds)
    report(read(given.out))


if __name__ == "__main__":
    main()
