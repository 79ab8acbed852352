"""The answer in plain words: which pair, how good, against what, at what cost."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_nas.report import words
from hybrid_nas.report.front import Front, Pair, Split
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
    """What the run found, at the target coverage, for the pair that the score split puts first."""
    pair = front.best
    if pair is None:
        return Verdict(
            f"No pair was found within the limits: {words.limits(front.limits)}.",
            (
                "Nothing was scored, or nothing that was scored fits. Give larger limits, another "
                "board, or a smaller search space.",
            ),
        )
    sentences = (_routing(front, pair), _latency(front, pair), _memory(front, pair))
    return Verdict(_headline(front, pair), tuple(filter(None, sentences)))


def best_rival(front: Front, pair: Pair, coverage: str) -> Rival | None:
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
    split: Split = "score" if pair.at(front.target, "test").accuracy is None else "test"
    result = pair.at(front.target, split)
    kept = words.coverage(front.target)
    if result.accuracy is None:
        return f"Pair {pair.id} comes first, but its accuracy at {kept} coverage is not known."
    reached = f"{words.accuracy(result)}"
    if front.cloud is None:
        found = (
            f"Pair {pair.id} answers {kept} of the inputs and is right on {reached} of these "
            f"({split} split)"
        )
    else:
        found = f"Pair {pair.id} reaches {reached} ({split} split) at {kept} coverage"
    return "; ".join([found, *filter(None, [", ".join(_references(front, pair))])]) + "."


def _references(front: Front, pair: Pair) -> list[str]:
    """What the two models reach without each other."""
    parts = []
    if pair.base.test_accuracy is not None:
        parts.append(f"base alone {words.percent(pair.base.test_accuracy)}")
    elif pair.base.accuracy is not None:
        parts.append(f"base alone {words.percent(pair.base.accuracy)} (score split)")
    if front.cloud is not None and front.cloud.accuracy is not None:
        parts.append(f"cloud alone {words.percent(front.cloud.accuracy)}")
    return parts


def _routing(front: Front, pair: Pair) -> str:
    rival = best_rival(front, pair, front.target)
    if rival is None:
        return ""
    lead = words.points(abs(rival.lead)).lstrip("+")
    name, reached = words.method(rival.method), words.percent(rival.accuracy)
    if lead == "0.0":
        return f"Its router is level with the best plain confidence ({name}, {reached})."
    side = "above" if rival.lead > 0 else "below"
    return f"Its router is {lead} points {side} the best plain confidence ({name}, {reached})."


def _latency(front: Front, pair: Pair) -> str:
    test, score = pair.at(front.target, "test"), pair.at(front.target, "score")
    mean = test.mean_latency_ms if test.mean_latency_ms is not None else score.mean_latency_ms
    edge = pair.cost.edge_latency_ms
    parts = []
    if mean is not None and front.cloud is not None:
        query = front.cloud.query_ms
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
    return _sentence(", ".join(parts))


def _memory(front: Front, pair: Pair) -> str:
    parts = []
    if pair.cost.sram_bytes is not None:
        parts.append(f"SRAM {words.fit(pair.cost.sram_bytes, front.limits.sram_bytes)}")
    if pair.cost.flash_bytes is not None:
        parts.append(f"flash {words.fit(pair.cost.flash_bytes, front.limits.flash_bytes)}")
    return f"It takes {' and '.join(parts)}." if parts else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""
