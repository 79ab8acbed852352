"""Every architecture of a small space beside every router: the truth that samplers are measured by.

    python benchmarks/exhaustive.py --shards DIR             # score, in shards that resume
    python benchmarks/exhaustive.py --shards DIR --redraw 1  # score some again on other splits
    python benchmarks/exhaustive.py --shards DIR --collect   # shards -> benchmarks/data
    python benchmarks/exhaustive.py --report                 # what the table says

Scores are those of the default search: same supernet, data, cloud, calibration images and seed.
An architecture's network is run once for all routers. The threshold split is not run, since no
figure at an exact coverage depends on it. Killed and started again, the work goes on with the next
shard; `--part 0/2` and `--part 1/2` share it between two processes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from exhaustive_report import report
from exhaustive_space import free_columns, narrowed, search_setup, widened
from exhaustive_table import PROBLEMS, TABLE, Redraw, Table, Truth

from hybrid_nas.data.dataset import SPLITS, Split
from hybrid_nas.data.digits import DIGITS_PER_SPLIT, DigitsDataset
from hybrid_nas.files import atomic_write, sha256_of_file
from hybrid_nas.npz import load_arrays
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.sources import bundled_cloud_path, bundled_supernet_path
from hybrid_nas.typing import BoolArray, IntArray

SHARD = 100
SAMPLE = 100
REDRAWS = (1, 2, 3)


class RedrawnDigits(DigitsDataset):
    """Other digits in each split that no network was trained on, and other renderings of them."""

    def sources(self, name: Split) -> IntArray:
        """The digits of all splits but train, dealt out anew."""
        if name == "train":
            return super().sources(name)
        fresh = SPLITS[1:]
        pool = np.concatenate([super(RedrawnDigits, self).sources(split) for split in fresh])
        pool = np.random.default_rng((7, self.seed)).permutation(pool)
        edges = np.cumsum([0] + [DIGITS_PER_SPLIT[split] for split in fresh])
        k = fresh.index(name)
        return pool[edges[k] : edges[k + 1]]


def opened(redraw: int = 0) -> SearchSetup:
    """The default search's parts; `redraw` above 0 takes other splits."""
    setup = search_setup()
    if redraw:
        setup.__dict__["data"] = RedrawnDigits(seed=redraw)  # before anything has read it
    return setup


def identity(setup: SearchSetup) -> str:
    """What scores depend on, as JSON: shards of different ones are never mixed."""
    settings, space = setup.settings, narrowed(setup.space)
    return json.dumps(
        {
            "supernet": sha256_of_file(bundled_supernet_path()),
            "cloud": sha256_of_file(bundled_cloud_path()),
            "data": setup.data.fingerprint,
            "redrawn": isinstance(setup.data, RedrawnDigits),
            "calibration_images": settings.calibration_images,
            "seed": settings.seed,
            "routers": settings.routers,
            "coverages": settings.coverages,
            "choices": {gene.name: gene.choices for gene in space.genes},
        },
        sort_keys=True,
    )


def scored(setup: SearchSetup, rows: IntArray) -> dict[str, np.ndarray]:
    """Scores of canonical rows (n, genes) of the whole space, beside every router.

    Returns:
        accuracy, stderr, kept: (n, routers, coverages); base_accuracy: (n,); method: (n, routers).
    """
    settings, problem = setup.settings, setup.problem
    scorer = Scorer(setup.runner, setup.data, setup.clouds, settings)
    found: dict[str, list[object]] = {"accuracy": [], "stderr": [], "coverage": []}
    bases, methods = [], []
    for genes in map(tuple, rows.tolist()):
        pairs = [Candidate(genes, router) for router in settings.routers]
        costs = [problem.evaluate(np.array([problem.candidates.row(pair)])) for pair in pairs]
        figures = [scorer.score(pair, cost) for pair, cost in zip(pairs, costs, strict=True)]
        for name, values in found.items():
            values.append([[getattr(f.at[c], name) for c in settings.coverages] for f in figures])
        bases.append(figures[0].base_accuracy)
        methods.append([f.method for f in figures])
    return {
        **{name: np.array(values, np.float32) for name, values in found.items()},
        "base_accuracy": np.array(bases, np.float32),
        "method": np.array(methods),
    }


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Compressed arrays, in one piece or not at all."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    atomic_write(path, stream.getvalue())


def fill(folder: Path, setup: SearchSetup, rows: IntArray, numbers: Iterable[int]) -> None:
    """Score the shards of these numbers that are not there yet.

    Raises:
        SystemExit: a shard is there that was scored with something else.
    """
    who = identity(setup)
    for number in numbers:
        path = folder / f"shard-{number:03d}.npz"
        part = rows[SHARD * number : SHARD * (number + 1)]
        if path.exists():
            check_shard(path, who, part)
            continue
        begun = time.perf_counter(), time.process_time()
        arrays = scored(setup, part)
        wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
        write_npz(path, {**arrays, "rows": part.astype(np.int8), "identity": np.array(who)})
        print(f"{path.name}: {len(part)} in {wall:.0f} s ({cpu:.0f} s of processor)", flush=True)


def check_shard(path: Path, who: str, rows: IntArray) -> dict[str, np.ndarray]:
    """A shard's arrays, if it is one of this table."""
    arrays = load_arrays(path)
    if str(arrays["identity"]) != who or not np.array_equal(arrays["rows"], rows):
        sys.exit(f"{path} was scored with other files or settings: give another --shards")
    return arrays


def shards(folder: Path, setup: SearchSetup, rows: IntArray) -> Iterator[dict[str, np.ndarray]]:
    """All shards in order.

    Raises:
        SystemExit: one is missing.
    """
    who = identity(setup)
    for number in range(count_shards(rows)):
        path = folder / f"shard-{number:03d}.npz"
        if not path.exists():
            sys.exit(f"{path} is not there yet: run without --collect first")
        yield check_shard(path, who, rows[SHARD * number : SHARD * (number + 1)])


def count_shards(rows: IntArray) -> int:
    return -(-len(rows) // SHARD)


def architectures(setup: SearchSetup) -> IntArray:
    """All rows of the narrowed space, canonical."""
    return narrowed(setup.space).enumerate()


def fitting(setup: SearchSetup, rows: IntArray) -> BoolArray:
    """Which rows of the narrowed space are scored: those that fit beside the smallest router."""
    wide = widened(rows, narrowed(setup.space), setup.space)
    return setup.problem.fits(np.concatenate([wide, np.zeros((len(rows), 1), np.int64)], axis=1))


def collected(folder: Path, setup: SearchSetup) -> Table:
    """The table, with costs as they are computed today."""
    small, routers = narrowed(setup.space), setup.settings.routers
    rows = architectures(setup)
    good = fitting(setup, rows)
    wide = widened(rows, small, setup.space)
    parts = list(shards(folder, setup, wide[good]))
    found: dict[str, np.ndarray] = {}
    for name in ("accuracy", "stderr", "coverage", "base_accuracy"):
        scores = np.concatenate([part[name] for part in parts])
        found[name] = np.full((len(rows), *scores.shape[1:]), np.nan)
        found[name][good] = scores
    pairs = np.concatenate(
        [np.repeat(wide, len(routers), 0), np.tile(np.arange(len(routers)), len(rows))[:, None]], 1
    )
    costs = setup.problem.evaluate(pairs)
    shape = (len(rows), len(routers))
    settings = setup.settings
    facts = {
        **json.loads(identity(setup)),
        "board": settings.board,
        "runtime": settings.runtime,
        "query_ms": settings.query_ms,
        "methods": _counted(np.concatenate([part["method"] for part in parts]), routers),
    }
    return Table(
        rows[:, free_columns(small)],
        edge_ms=costs.latency_ms.reshape(shape),
        router_ms=costs.router_ms.reshape(shape),
        sram_bytes=costs.sram_bytes.reshape(shape),
        flash_bytes=costs.flash_bytes.reshape(shape),
        macs=costs.macs.reshape(shape)[:, 0],
        params=costs.params.reshape(shape)[:, 0],
        facts=facts,
        redraw=redraws(folder),
        **found,
    )


def _counted(methods: np.ndarray, routers: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """How often each design came to each method."""
    return {
        router: {
            str(m): int(n) for m, n in zip(*np.unique(column, return_counts=True), strict=True)
        }
        for router, column in zip(routers, methods.T, strict=True)
    }


def redraw_path(folder: Path, redraw: int) -> Path:
    return folder / f"redraw-{redraw}.npz"


def redraws(folder: Path) -> Redraw | None:
    """Scores on other splits, as far as they are there."""
    parts = [load_arrays(path) for k in REDRAWS if (path := redraw_path(folder, k)).exists()]
    if not parts:
        return None
    if any(not np.array_equal(part["index"], parts[0]["index"]) for part in parts):
        sys.exit("redraws are of different architectures: delete redraw-*.npz and make them again")
    return Redraw(
        parts[0]["index"].astype(np.int64),
        np.stack([part["accuracy"] for part in parts]).astype(np.float64),
        np.stack([part["coverage"] for part in parts]).astype(np.float64),
    )


def redrawn(table: Table) -> IntArray:
    """Architectures to score again: those of the true fronts, and some at random; ascending."""
    chosen = [Truth.of(table, limits).front // len(table.routers) for limits in PROBLEMS.values()]
    scored_ones = np.flatnonzero(np.isfinite(table.base_accuracy))
    sample = np.random.default_rng(0).choice(scored_ones, min(SAMPLE, len(scored_ones)), False)
    return np.unique(np.concatenate([*chosen, sample]))


def score_again(folder: Path, table: Table, redraw: int) -> None:
    """Scores of some architectures on other splits, unless they are there."""
    path = redraw_path(folder, redraw)
    if path.exists():
        return
    setup, index = opened(redraw), redrawn(table)
    small = narrowed(setup.space)
    arrays = scored(setup, widened(architectures(setup), small, setup.space)[index])
    kept = {name: arrays[name] for name in ("accuracy", "coverage")}
    write_npz(path, {**kept, "index": index.astype(np.int32)})
    print(f"{path.name}: {len(index)} architectures scored again", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=Path, default=Path("runs/exhaustive"))
    parser.add_argument("--part", default="0/1", help="which shards, such as 0/2 and 1/2")
    parser.add_argument("--redraw", type=int, choices=REDRAWS, help="score some on other splits")
    parser.add_argument("--collect", action="store_true", help="make the table out of the shards")
    parser.add_argument("--table", type=Path, default=TABLE, help="where the table is")
    parser.add_argument("--report", action="store_true", help="print what the table says")
    arguments = parser.parse_args()
    if arguments.report:
        print(report(Table.load(arguments.table)))
        return
    setup = opened()
    if arguments.redraw:
        score_again(arguments.shards, collected(arguments.shards, setup), arguments.redraw)
    elif arguments.collect:
        write_npz(arguments.table, collected(arguments.shards, setup).arrays())
    else:
        rows = architectures(setup)
        rows = rows[fitting(setup, rows)]
        first, step = map(int, arguments.part.split("/"))
        wide = widened(rows, narrowed(setup.space), setup.space)
        fill(arguments.shards, setup, wide, range(first, count_shards(rows), step))


if __name__ == "__main__":
    main()
