"""Do guarantees hold at their level? And does the rate controller keep its rate?

    python benchmarks/guarantees.py [--calibrations 1000] [--outputs ../shared/data/outputs]

A calibration draws inputs from a population whose figures are known and promises something about
it. The violation rate is the share of calibrations whose threshold breaks the promise on the
population; without a confidence, the mean of the figure is what must be within its level. Draws
that do not support a promise make none ("none") and break none.

Populations: simulated scores, continuous and tied; simulated groups of dependent inputs; and real
outputs, of which one half fits the router or gives it a plain confidence, and the other half is the
population that inputs are drawn from with replacement.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing import ModelOutputs, design
from hybrid_nas.routing.drift import fit_controller
from hybrid_nas.routing.guarantees import (
    ScoredInputs,
    calibrate,
    choose_start,
    parse_promise,
)
from hybrid_nas.routing.scoring import AUTO, fit_pair_router

OUTPUTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "outputs"
Draw = Callable[[int, np.random.Generator], ScoredInputs]


@dataclass(frozen=True)
class Population:
    """What to draw from, `everything` that figures are taken of, and other inputs for starts."""

    name: str
    draw: Draw
    everything: ScoredInputs
    other: ScoredInputs
    units: int
    promises: tuple[str, ...]

    def figures(self, kind: str, thresholds: np.ndarray) -> np.ndarray:
        """The figure of everything at each threshold, by sorting and summing once."""
        inputs = self.everything
        weight = np.full(inputs.n, 1.0 / inputs.n)
        if inputs.groups is not None:
            sizes = np.bincount(inputs.groups)
            weight = 1.0 / (sizes[inputs.groups] * len(sizes))
        order = np.argsort(inputs.score)
        wrong = ~inputs.base_correct

        def kept(what: np.ndarray | float) -> np.ndarray:
            sums = np.append(0.0, np.cumsum((weight * what)[order]))
            return sums[np.searchsorted(inputs.score[order], thresholds, side="right")]

        if kind == "queries":
            return 1.0 - kept(1.0)
        if kind == "risk":
            return kept(wrong) / np.maximum(kept(1.0), 1e-12)
        if kind == "loss":
            return kept(wrong & inputs.cloud_correct)
        sent = (weight * inputs.cloud_correct).sum() - kept(inputs.cloud_correct)
        return kept(inputs.base_correct) + sent


def simulated(name: str, levels: int | None, promises: tuple[str, ...]) -> Population:
    """Independent inputs: P(base wrong) is half the score, the cloud is right in 95 %."""

    def draw(n: int, random: np.random.Generator) -> ScoredInputs:
        score = random.random(n)
        if levels is not None:
            score = np.floor(score * levels) / levels
        return ScoredInputs(score, random.random(n) >= 0.5 * score, random.random(n) < 0.95)

    random = np.random.default_rng(1)
    return Population(name, draw, draw(1_000_000, random), draw(500, random), 500, promises)


def simulated_groups(promises: tuple[str, ...]) -> Population:
    """Groups of 1 to 9 inputs that share a difficulty and mostly their luck; large ones harder."""

    def draw(n: int, random: np.random.Generator) -> ScoredInputs:
        hard = random.random(n)
        sizes = 1 + np.floor(4.0 * hard + 5.0 * random.random(n)).astype(int)
        member = np.repeat(np.arange(n), sizes)
        alone = random.random(len(member))
        luck = np.where(random.random(len(member)) < 0.8, random.random(n)[member], alone)
        score = 0.7 * hard[member] + 0.3 * random.random(len(member))
        return ScoredInputs(score, luck >= 0.5 * score, random.random(len(member)) < 0.95, member)

    random = np.random.default_rng(1)
    return Population(
        "simulated groups", draw, draw(200_000, random), draw(200, random), 200, promises
    )


def from_outputs(
    name: str, base: ModelOutputs, cloud_correct: np.ndarray, promises: tuple[str, ...]
) -> Population:
    """Real outputs: a router is fitted on one half, and the other half is the population."""
    random = np.random.default_rng(0)
    order = random.permutation(base.n)
    fit, rest = order[: base.n // 2], order[base.n // 2 :]
    router = fit_pair_router(
        design("linear-class"), base.take(fit), cloud_correct[fit], base.take(fit), (0.7,),
        objective=AUTO,
    )  # fmt: skip

    def scored(rows: np.ndarray) -> ScoredInputs:
        outputs = base.take(rows)
        return ScoredInputs(router.send_score(outputs), outputs.correct, cloud_correct[rows])

    everything = scored(rest)

    def draw(n: int, random: np.random.Generator) -> ScoredInputs:
        return everything.take(random.integers(0, everything.n, n))

    return Population(f"{name}, {router.method}", draw, everything, scored(fit), 500, promises)


def real_populations(folder: Path) -> Iterator[Population]:
    common = ("loss<=0.02", "loss<=0.02@0.9", "queries<=0.3", "queries<=0.3@0.9")
    cifar = folder / "cifar10_test_first5000"
    if cifar.exists():
        small = np.load(cifar / "mcu_and_resnet_outputs.npz")
        strong = np.load(cifar / "published_8cnn_logits.npz")
        labels = small["labels"].astype(np.int64)
        for network in ("tinymaix_cifar10_int8", "mlperf_resnet8_int8"):
            base = ModelOutputs(labels=labels, probabilities=small[f"{network}__probs"])
            right = strong["wrn_28_10"].argmax(axis=1) == labels
            yield from_outputs(
                network, base, right, (*common, "accuracy>=0.9@0.9", "risk<=0.1@0.9")
            )
    paid = folder / "frugalml" / "FERPLUS.npz"
    if paid.exists():
        api = np.load(paid)
        names = api["names"].tolist()
        local, cloud = names.index("GitHub(CNN)"), names.index("Microsoft")
        labels = api["label"].astype(np.int64)
        base = ModelOutputs(
            labels=labels, predicted=api["pred"][local], confidence=api["confidence"][local]
        )
        yield from_outputs(
            "FERPLUS",
            base,
            api["pred"][cloud] == labels,
            (*common, "accuracy>=0.75@0.9", "risk<=0.25@0.9"),
        )


def report(population: Population, calibrations: int) -> None:
    for spec in population.promises:
        promise, random = parse_promise(spec), np.random.default_rng(7)
        start = choose_start(promise, population.other)
        thresholds, kept = [], []
        for _ in range(calibrations):
            try:
                found = calibrate(promise, population.draw(population.units, random), start=start)
            except InputError:
                continue
            thresholds.append(found.threshold)
            kept.append(found.coverage)
        true = population.figures(promise.kind, np.array(thresholds))
        broken = true < promise.level if promise.kind == "accuracy" else true > promise.level
        held = (
            f"mean {true.mean():.4f} of {promise.level:g}"
            if promise.confidence is None
            else f"broken {broken.sum() / calibrations:.3f} of {1.0 - promise.confidence:.2f}"
        )
        none = 1.0 - len(thresholds) / calibrations
        print(
            f"{population.name:38} {spec:20} {held:24} mean figure {true.mean():.4f}  "
            f"kept {np.mean(kept) if kept else np.nan:.3f}  none {none:.3f}"
        )


def report_drift(population: Population) -> None:
    """Query rates while the inputs turn harder and easier, by redrawing by rank of the score."""
    random, pool = np.random.default_rng(3), np.sort(population.everything.score)
    ranks = [random.random(5000) ** power for power in (1.0, 0.4, 2.5)]
    stream = np.concatenate([pool[(u * len(pool)).astype(int)] for u in ranks])
    for target in (0.1, 0.3):
        controller = fit_controller(population.other.score, target)
        fixed = controller.fixed(stream) > controller.threshold
        moving = controller.run(stream).sent
        shares = [
            " / ".join(f"{part.mean():.3f}" for part in np.split(sent, 3))
            for sent in (fixed, moving)
        ]
        print(
            f"{population.name:38} queries {target:g}: as calibrated / harder / easier: "
            f"fixed {shares[0]}, controlled {shares[1]}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibrations", type=int, default=1000)
    parser.add_argument("--outputs", type=Path, default=OUTPUTS)
    arguments = parser.parse_args()
    specs = (
        "loss<=0.05", "loss<=0.05@0.9", "queries<=0.3", "queries<=0.3@0.9", "accuracy>=0.9@0.9",
        "risk<=0.15@0.9",
    )  # fmt: skip
    real = list(real_populations(arguments.outputs))
    for population in (
        simulated("simulated, continuous", None, specs),
        simulated("simulated, 12 levels", 12, specs),
        simulated_groups(("loss<=0.08", "loss<=0.08@0.9", "queries<=0.4", "queries<=0.4@0.9",
                          "accuracy>=0.85@0.9", "risk<=0.25@0.9")),
        *real,
    ):  # fmt: skip
        report(population, arguments.calibrations)
    for population in real:
        report_drift(population)


if __name__ == "__main__":
    main()
