"""The default router against the best plain confidence, on real outputs of real pairs.

    python benchmarks/route_pairs.py [--results route_pairs.jsonl] [--shard 1/4]
    python benchmarks/route_pairs.py --table-only
    python benchmarks/route_pairs.py --export pairs        # files for `hybrid-nas route`

Pairs: each of seven microcontroller networks before each of eight strong CNNs (5000 CIFAR-10 test
images), and the local model of FERPLUS (faces) and COMMAND (speech) before each of three paid APIs.
For each seed five folds are drawn anew; the router is fitted and chosen on four of them and judged
on the fifth, where it sends exactly as many inputs as the confidence does. The rival is the best of
MSP, entropy and margin at that coverage in hindsight, by their figures on the very inputs that the
router is judged on. The interval of the difference is from a paired bootstrap over inputs.

Finished pairs are kept in the results file and are not run again, so a run can be cut into shards
or stopped. Prices are in dollars for 10,000 inputs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from json_lines import add_lines, read_lines

from hybrid_nas.routing import ModelOutputs, check_pair
from hybrid_nas.routing.analysis import default_design
from hybrid_nas.routing.bootstrap import bootstrap_means
from hybrid_nas.routing.evidence import gather_evidence
from hybrid_nas.routing.ranking import input_accuracy, oracle_accuracy
from hybrid_nas.routing.unseen import SELECTED, decide_unseen

OUTPUTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "outputs"
COVERAGES = (0.9, 0.8, 0.7, 0.5)
RIVALS = ("msp", "entropy", "margin")
SEEDS = (0, 1, 2, 3, 4)
MATERIAL = 0.002  # a mean loss above this is one too many
TOLERATED = 0.05  # the share of intervals that may lie wholly below zero
FOLDS = 5
Record = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A base and a cloud on the same inputs; prices per query."""

    set: str
    base_name: str
    cloud_name: str
    base: ModelOutputs
    cloud: ModelOutputs
    price_base: float = 0.0
    price_cloud: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the pair in the results file."""
        return (self.set, self.base_name, self.cloud_name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outputs", type=Path, default=OUTPUTS)
    parser.add_argument("--results", type=Path, default=Path("route_pairs.jsonl"))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--set", choices=("cifar10", "FERPLUS", "COMMAND"), action="append")
    parser.add_argument("--shard", default="1/1", help="I/N: every Nth pair from the Ith")
    parser.add_argument("--table-only", action="store_true")
    parser.add_argument("--export", type=Path, help="write the outputs here and do nothing else")
    arguments = parser.parse_args()
    if arguments.export:
        export(all_pairs(arguments.outputs), arguments.export)
        return
    records = read_lines(arguments.results)
    if not arguments.table_only:
        which, of = (int(part) for part in arguments.shard.split("/"))
        wanted = [pair for pair in all_pairs(arguments.outputs) if wanted_set(pair, arguments.set)]
        done = {(*pair_key(record), record["seed"]) for record in records}
        for pair in wanted[which - 1 :: of]:
            for seed in arguments.seeds:
                if (*pair.key, seed) not in done:
                    records += run_pair(pair, seed, arguments.results)
    shown = [record for record in records if record["seed"] in arguments.seeds]
    if arguments.set:
        shown = [record for record in shown if record["set"] in arguments.set]
    print_tables(shown)


def wanted_set(pair: Pair, sets: list[str] | None) -> bool:
    return not sets or pair.set in sets


def all_pairs(folder: Path) -> Iterator[Pair]:
    """Every pair of the outputs folder."""
    images = folder / "cifar10_test_first5000"
    with (
        np.load(images / "mcu_and_resnet_outputs.npz", allow_pickle=False) as small,
        np.load(images / "published_8cnn_logits.npz", allow_pickle=False) as strong,
    ):
        labels = small["labels"].astype(np.int64)
        for key in small.files:
            if not key.endswith("__probs"):  # the ResNets are too large for a microcontroller
                continue
            base = ModelOutputs(labels=labels, probabilities=small[key])
            for name in strong.files:
                if name != "labels":
                    cloud = ModelOutputs(labels=labels, logits=strong[name])
                    yield Pair("cifar10", key.removesuffix("__probs"), name, base, cloud)
    for name in ("FERPLUS", "COMMAND"):
        yield from api_pairs(name, folder / "frugalml" / f"{name}.npz")


def api_pairs(name: str, path: Path) -> Iterator[Pair]:
    """The local model of a FrugalML file before each of its paid APIs."""
    with np.load(path, allow_pickle=False) as api:
        names = [str(one) for one in api["names"]]
        labels = api["label"].astype(np.int64)
        predicted, confidence = api["pred"].astype(np.int64), api["confidence"]
        prices = api["cost_per_10k"] / 10_000
    local = next(index for index, one in enumerate(names) if one.startswith("GitHub"))
    n_classes = 1 + int(max(labels.max(), predicted.max()))
    base = ModelOutputs(
        labels=labels,
        predicted=predicted[local],
        confidence=confidence[local],
        n_classes=n_classes,
    )
    for index, one in enumerate(names):
        if index != local:
            cloud = ModelOutputs(labels=labels, predicted=predicted[index], n_classes=n_classes)
            yield Pair(
                name, names[local], one, base, cloud, float(prices[local]), float(prices[index])
            )


def export(pairs: Iterator[Pair], folder: Path) -> None:
    """Write each model's outputs once, as `hybrid-nas route` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        for name, outputs, price in (
            (pair.base_name, pair.base, pair.price_base),
            (pair.cloud_name, pair.cloud, pair.price_cloud),
        ):
            arrays = {
                "labels": outputs.labels,
                "logits": outputs.logits,
                "probs": outputs.probabilities,
                "pred": outputs.predicted,
                "confidence": outputs.confidence,
                "price": price if pair.price_cloud else None,
            }
            path = folder / f"{pair.set}-{name.split('(')[0]}.npz"
            if not path.exists():
                np.savez(path, **{key: a for key, a in arrays.items() if a is not None})


def run_pair(pair: Pair, seed: int, results: Path) -> list[Record]:
    """Judge one pair with one seed, one record a coverage, and append them to the results."""
    began = time.monotonic()
    base_right, cloud_right = check_pair(pair.base, pair.cloud)
    shape = default_design(pair.base)
    evidence = gather_evidence(pair.base, shape, base_right, cloud_right, cloud=pair.cloud)
    decisions = decide_unseen(
        evidence, COVERAGES, hidden=shape.hidden, folds=FOLDS, repeats=1, seed=seed
    )
    right = {
        (name, coverage): input_accuracy(weights[index], base_right, cloud_right)
        for name, weights in decisions.matched.items()
        for index, coverage in enumerate(COVERAGES)
    }
    accuracy = {key: float(values.mean()) for key, values in right.items()}
    best = {c: max(RIVALS, key=lambda name, c=c: accuracy[name, c]) for c in COVERAGES}
    gains = np.stack([right[SELECTED, c] - right[best[c], c] for c in COVERAGES], axis=1)
    intervals = bootstrap_means(gains, seed=seed)
    seconds = time.monotonic() - began
    records = [
        {
            "set": pair.set,
            "base": pair.base_name,
            "cloud": pair.cloud_name,
            "seed": seed,
            "coverage": coverage,
            "n": evidence.n,
            "base_accuracy": float(base_right.mean()),
            "cloud_accuracy": float(cloud_right.mean()),
            "accuracy": {
                name: accuracy[name, coverage] for name in (SELECTED, "signed-gain", *RIVALS)
            }
            | {"oracle-bound": oracle_accuracy(base_right, cloud_right, coverage)},
            "default": decisions.whole.choice.method,
            "rival": best[coverage],
            "gain": interval.value,
            "low": interval.low,
            "high": interval.high,
            "price_base": pair.price_base,
            "price_cloud": pair.price_cloud,
            "seconds": seconds,
        }
        for coverage, interval in zip(COVERAGES, intervals, strict=True)
    ]
    add_lines(results, records)
    names = f"{pair.set} {pair.base_name} -> {pair.cloud_name}, seed {seed}"
    shown = "  ".join(f"{100 * record['gain']:+.2f}" for record in records)
    print(f"{names}: {shown}  ({seconds:.1f} s)", file=sys.stderr, flush=True)
    return records


def pair_key(record: Record) -> tuple[str, str, str]:
    return (record["set"], record["base"], record["cloud"])


def print_tables(records: list[Record]) -> None:
    """The tables of docs/route-results.md."""
    images = [record for record in records if record["set"] == "cifar10"]
    if images:
        print_images(images)
    paid = [record for record in records if record["set"] != "cifar10"]
    if paid:
        print_paid(paid)
    if records:
        print_verdict(records)


def print_images(records: list[Record]) -> None:
    """A row for each base: means over the clouds and seeds, at each coverage."""
    print("| base | alone | " + " | ".join(f"at {c:g}: router, gain" for c in COVERAGES) + " |")
    print("|---" * (2 + len(COVERAGES)) + "|")
    for base in dict.fromkeys(record["base"] for record in records):
        own = [record for record in records if record["base"] == base]
        cells = []
        for coverage in COVERAGES:
            at = [record for record in own if record["coverage"] == coverage]
            reached = 100 * np.mean([record["accuracy"][SELECTED] for record in at])
            cells.append(f"{reached:.2f}, {gain_and_spread(at)}")
        print(f"| {base} | {100 * own[0]['base_accuracy']:.1f} | " + " | ".join(cells) + " |")
    print()


def print_paid(records: list[Record]) -> None:
    """A row for each API and coverage, with mean prices in dollars for 10,000 inputs."""
    print(
        "| task | API (alone, price) | coverage | mean price | best confidence | router | gain | "
        "share of the way to the oracle |"
    )
    print("|---" * 8 + "|")
    for key in dict.fromkeys(pair_key(record) for record in records):
        for coverage in COVERAGES:
            at = [r for r in records if pair_key(r) == key and r["coverage"] == coverage]
            if not at:
                continue
            one = at[0]
            price = 10_000 * (one["price_base"] + (1 - coverage) * one["price_cloud"])
            rival = np.mean([record["accuracy"][record["rival"]] for record in at])
            ours = np.mean([record["accuracy"][SELECTED] for record in at])
            way = (ours - rival) / (one["accuracy"]["oracle-bound"] - rival)
            print(
                f"| {one['set']} | {one['cloud']} ({100 * one['cloud_accuracy']:.1f}, "
                f"{10_000 * one['price_cloud']:.2f}) | {coverage:g} | {price:.2f} | "
                f"{100 * rival:.2f} | {100 * ours:.2f} | {gain_and_spread(at)} | "
                f"{100 * way:.0f} % |"
            )
    print()


def gain_and_spread(records: list[Record]) -> str:
    """The mean gain in points over pairs and seeds, and the standard deviation of a seed's mean."""
    by_seed: dict[int, list[float]] = {}
    for record in records:
        by_seed.setdefault(record["seed"], []).append(100 * record["gain"])
    means = [float(np.mean(gains)) for gains in by_seed.values()]
    spread = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
    return f"{np.mean(means):+.2f} ({spread:.2f})"


def print_verdict(records: list[Record]) -> None:
    """How many comparisons are wholly below zero, and the worst mean loss, against their bars."""
    below = sum(record["high"] < 0.0 for record in records)
    above = sum(record["low"] > 0.0 for record in records)
    means = mean_gains(records, SELECTED)
    worst = min(means, key=lambda key: means[key])
    lost = sum(mean < -MATERIAL for mean in means.values())
    print(
        f"{len(records)} comparisons (pairs x coverages x seeds): {below} wholly below zero "
        f"({100 * below / len(records):.1f} %, at most {100 * TOLERATED:g} % wanted), "
        f"{above} wholly above ({100 * above / len(records):.1f} %)."
    )
    print(
        f"Worst mean over seeds: {100 * means[worst]:+.2f} points ({', '.join(map(str, worst))}); "
        f"{lost} of {len(means)} lose more than {100 * MATERIAL:g} points. Mean of all: "
        f"{100 * np.mean(list(means.values())):+.2f}."
    )
    plain = mean_gains(records, "msp")
    print(
        "MSP itself, against the same rival: "
        f"{100 * np.mean(list(plain.values())):+.2f} on the mean, "
        f"{100 * min(plain.values()):+.2f} at worst, "
        f"{sum(mean < -MATERIAL for mean in plain.values())} of {len(plain)} below "
        f"{-100 * MATERIAL:g}."
    )


def mean_gains(records: list[Record], method: str) -> dict[tuple[object, ...], float]:
    """A method's gain over the rival by pair and coverage, the mean over seeds."""
    gains: dict[tuple[object, ...], list[float]] = {}
    for record in records:
        gain = record["accuracy"][method] - record["accuracy"][record["rival"]]
        gains.setdefault((*pair_key(record), record["coverage"]), []).append(gain)
    return {key: float(np.mean(each)) for key, each in gains.items()}


if __name__ == "__main__":
    main()
