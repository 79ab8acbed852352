"""The answer in plain words: which pair, how good, against what, at what cost."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_nas.report import words
from hybrid_nas.report.answer import of_budget, within_bound
from hybrid_nas.report.front import Front, Pair
from hybrid_nas.report.result import Split
from hybrid_nas.units import format_ms

ORACLE = "oracle"


@dataclass(frozen=True)
class Verdict:
    """One headline, and the sentences that belong under it."""

    headline: str
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rival:
    """The best baseline at a coverage, and how far the router is above it (in shares)."""

    method: str
    accuracy: float
    lead: float


def verdict(front: Front) -> Verdict:
    """What the run found, as it was asked, for the pair that the score split puts first."""
    pair = front.best
    if pair is None:
        return Verdict(
            f"No pair was found within the limits: {words.limits(front.limits)}.",
            (
                "Nothing was scored, or nothing that was scored fits. Give larger limits, another "
                "board, or a smaller search space.",
            ),
        )
    sentences = (
        _asking(front, pair),
        _timeouts(front, pair),
        _routing(front, pair),
        _latency(front, pair),
        _energy(front, pair),
        _memory(front, pair),
    )
    return Verdict(_headline(front, pair), tuple(filter(None, sentences)))


def best_rival(pair: Pair, coverage: str) -> Rival | None:
    """The strongest baseline on the test split (the oracle, which knows the answers, is none)."""
    found = {
        name: values[coverage]
        for name, values in pair.baselines.items()
        if coverage in values and name != ORACLE
    }
    own = pair.at(coverage, "test").accuracy
    if not found or own is None:
        return None
    name = max(found, key=lambda method: found[method])
    return Rival(name, found[name], own - found[name])


def _headline(front: Front, pair: Pair) -> str:
    split: Split = "score" if front.working(pair, "test").accuracy is None else "test"
    result = front.working(pair, split)
    kept = words.coverage(front.target)
    if result.accuracy is None:
        return f"Pair {pair.id} comes first, but its accuracy {words.question(front)} is not known."
    reached = f"{words.accuracy(result)}"
    if front.question.regime == "loss":
        found = within_bound(front, pair, result, split)
    elif front.question.regime == "budget":
        found = f"Pair {pair.id} reaches {reached} ({split} split) {of_budget(front, result)}"
    elif front.cloud is None:
        found = (
            f"Pair {pair.id} answers {kept} of the inputs and is right on {reached} of these "
            f"({split} split)"
        )
    else:
        found = f"Pair {pair.id} reaches {reached} ({split} split) at {kept} coverage"
    return "; ".join([found, *filter(None, [", ".join(_references(front, pair))])]) + "."


def _asking(front: Front, pair: Pair) -> str:
    """How often a pair asks that was given a budget or a bound."""
    test = front.working(pair, "test")
    if pair.point is None or test.coverage is None:
        return ""
    text = f"It asks the cloud for {words.percent(1 - test.coverage)} of the inputs"
    reached = f" and reaches {words.accuracy(test)}" if front.question.regime == "loss" else ""
    return f"{text}{reached}."


def _timeouts(front: Front, pair: Pair) -> str:
    """What is left where the base has to answer."""
    test = front.working(pair, "test")
    if test.accuracy_with_timeouts is None or test.accuracy_with_timeouts == test.accuracy:
        return ""
    expected = words.percent(test.accuracy_with_timeouts)
    return f"Where no answer comes in time the base answers: {expected} are to be expected then."


def _references(front: Front, pair: Pair) -> list[str]:
    """What the two models reach without each other."""
    parts = []
    if pair.base.test_accuracy is not None:
        parts.append(f"base alone {words.percent(pair.base.test_accuracy)}")
    elif pair.base.accuracy is not None:
        parts.append(f"base alone {words.percent(pair.base.accuracy)} (score split)")
    cloud = front.cloud_of(pair)
    if cloud is not None and cloud.accuracy is not None:
        parts.append(f"cloud alone {words.percent(cloud.accuracy)}")
        if pair.cloud is not None and front.cloud is not None:
            parts[-1] = f"its {parts[-1]}, the largest {words.percent(front.cloud.accuracy)}"
    return parts


def _routing(front: Front, pair: Pair) -> str:
    rival = best_rival(pair, front.target)
    if rival is None:
        return ""
    lead = words.points(abs(rival.lead)).lstrip("+")
    name, reached = words.method(rival.method), words.percent(rival.accuracy)
    where = "" if pair.point is None else f"at {words.coverage(front.target)} coverage "
    side = "above" if rival.lead > 0 else "below"
    far = "level with" if lead == "0.0" else f"{lead} points {side}"
    return _sentence(f"{where}its router is {far} the best plain confidence ({name}, {reached})")


def _latency(front: Front, pair: Pair) -> str:
    test, score = front.working(pair, "test"), front.working(pair, "score")
    mean = test.mean_latency_ms if test.mean_latency_ms is not None else score.mean_latency_ms
    edge = pair.cost.edge_latency_ms
    parts = []
    cloud = front.cloud_of(pair)
    if mean is not None and cloud is not None:
        query = cloud.query_ms
        parts.append(f"one input takes {format_ms(mean)} on average")
        if query is not None:
            parts[0] += f" (the cloud alone {format_ms(query)})"
    if edge is not None:
        kind = pair.cost.edge_latency_is
        parts.append(
            ("" if parts else "one input takes ")
            + f"{format_ms(edge)} on the device"
            + (f" ({kind})" if kind else "")
        )
    if test.p95_latency_ms is not None:
        parts.append(f"95 % of them are answered within {format_ms(test.p95_latency_ms)}")
    return _sentence(", ".join(parts))


def _energy(front: Front, pair: Pair) -> str:
    """Energy of an input and what a charge lasts, where the run knows them; estimates both."""
    test, parts = front.working(pair, "test"), []
    if test.mean_energy_mj is not None:
        device = pair.cost.edge_energy_mj
        parts.append(f"one input takes {words.energy(test.mean_energy_mj)} on average")
        if device is not None and front.cloud is not None:
            parts.append(f"{words.energy(device)} on the device")
    if test.battery_days is not None:
        parts.append(f"a charge lasts {words.significant(test.battery_days)} days")
    return _sentence(", ".join(parts) + (" (estimated)" if parts else ""))


def _memory(front: Front, pair: Pair) -> str:
    parts = []
    if pair.cost.sram_bytes is not None:
        parts.append(f"SRAM {words.fit(pair.cost.sram_bytes, front.limits.sram_bytes)}")
    if pair.cost.flash_bytes is not None:
        parts.append(f"flash {words.fit(pair.cost.flash_bytes, front.limits.flash_bytes)}")
    return f"It takes {' and '.join(parts)}." if parts else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""
