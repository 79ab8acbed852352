"""Damaged logs: every one is imported, or refused with a reason; none ends in a traceback.

    python -m benchmarks.import_fuzz [--count 500] [--seed 0]

Made-up samples of every format, and the real ones beside the repository where they are, are cut,
shuffled and overwritten at random, then imported, three of four with the model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hybrid_nas.errors import HybridNasError
from hybrid_nas.profiling.imports.identity import Given
from hybrid_nas.profiling.imports.importing import ImportJob, import_log, write
from tests.profiling.import_samples import SAMPLES, mutations, save_network

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "boards"
BARE = Given(board="my-board", core="cortex-m7")
ALL = replace(BARE, clock_hz=80_000_000, runtime_version="1")


def texts() -> dict[str, str]:
    """All samples by file name."""
    found = dict(SAMPLES)
    for path in sorted(REAL.glob("*_*s/*")):
        if path.suffix in (".txt", ".md", ".rst", ".json"):
            found[path.name] = path.read_text(encoding="utf-8")
    return found


def damaged(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """`count` damaged texts, as evenly spread over the samples as can be."""
    samples = texts()
    for number, (name, text) in enumerate(samples.items()):
        share = count // len(samples) + (number < count % len(samples))
        for mutated in mutations(text, share, seed + number):
            yield name, mutated


def outcome(path: Path, name: str, model: Path | None) -> str:
    """``imported``, ``refused``, or the traceback."""
    given = BARE if name.startswith(("st", "x-cube")) else ALL
    if name == "own.json":
        given = Given()  # it says everything itself
    elif name.startswith(("tflm", "own")):
        given = replace(ALL, runtime="tflm")
    elif name.endswith(".md"):
        given = Given(board="my-board", clock_hz=25_000_000)
    try:
        result = import_log(ImportJob(path, model=model, given=given))
        if result.table is None:
            return "refused"
        out = path.with_suffix(".yaml")
        out.unlink(missing_ok=True)
        write(result, out)
    except HybridNasError:
        return "refused"
    except Exception:
        return traceback.format_exc()
    return "imported"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        model = save_network(Path(folder))
        for number, (name, text) in enumerate(damaged(arguments.count, arguments.seed)):
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8", errors="replace", newline="")
            began = time.perf_counter()
            outcomes[outcome(path, name, model if number % 4 else None)] += 1
            slowest = max(slowest, time.perf_counter() - began)
    known = {key: outcomes.pop(key, 0) for key in ("imported", "refused")}
    for trace, times in outcomes.most_common():
        print(f"{times} times:\n{trace}")
    print(
        f"{arguments.count} damaged logs: {known['imported']} imported, {known['refused']} refused"
    )
    print(f"tracebacks: {sum(outcomes.values())}; slowest {slowest:.2f} s")
    return 1 if outcomes else 0


if __name__ == "__main__":
    raise SystemExit(main())
