"""The answer to a budget or a bound on the loss, in words."""

from __future__ import annotations

from hybrid_nas.report import words
from hybrid_nas.report.front import Front, Pair
from hybrid_nas.report.result import Result, Split
from hybrid_nas.units import format_ms


def of_budget(front: Front, result: Result) -> str:
    """What the pair takes, beside what it may take."""
    asked, parts = front.question, []
    if asked.mean_latency_ms is not None:
        parts.append(
            f"at a mean latency of {words.time(result.mean_latency_ms)} "
            f"({format_ms(asked.mean_latency_ms)} allowed)"
        )
    if asked.mean_energy_mj is not None:
        parts.append(
            f"at a mean energy of {words.energy(result.mean_energy_mj)} "
            f"({words.energy(asked.mean_energy_mj)} allowed)"
        )
    return " and ".join(parts)


def within_bound(front: Front, pair: Pair, result: Result, split: Split) -> str:
    """How far below the cloud the pair is, or that no pair kept the bound."""
    bound = words.points(front.question.max_loss).lstrip("+")
    if not front.keeps_bound(pair):
        below = words.points(front.working(pair, "score").loss).lstrip("+")
        return (
            f"No pair is within {bound} points of the cloud on the score split as well; the "
            f"nearest, pair {pair.id}, is {below} points below it there and reaches "
            f"{words.accuracy(result)} ({split} split)"
        )
    error = "" if result.loss_stderr is None else f" ± {100 * result.loss_stderr:.1f}"
    return (
        f"Pair {pair.id} is {words.points(result.loss).lstrip('+')}{error} points below the cloud "
        f"alone ({split} split, {bound} allowed) and takes {words.time(result.mean_latency_ms)} "
        "on average"
    )
