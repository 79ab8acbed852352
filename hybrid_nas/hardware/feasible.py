"""Does anything fit, and if not, which limits would do? Answered from costs alone, in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from hybrid_nas.hardware.cost import CostModel, Costs
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.typing import FloatArray, IntArray

_SAMPLES = 4096
_PARENTS = 64
_CHILDREN = 8
_PATIENCE = 12
_ROUNDS = 200

Score = Callable[[Costs], FloatArray]


@dataclass(frozen=True)
class Feasibility:
    """Whether limits can be met.

    Attributes:
        limits: what was asked for.
        share: fraction of random architectures that fit (0 does not mean that none does).
        genes: an architecture that fits, or the one that misses the limits least.
        binding: the limit in the way; empty where something fits.
        nearest: limits that would work, each with a change to as few limits as possible; for each
            limit that can be the only one to change, and last the least change to all of them.
    """

    limits: Limits
    share: float
    genes: Genes
    binding: str
    nearest: tuple[Limits, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether at least one architecture fits."""
        return not self.binding

    def message(self, space: str) -> str:
        """One line for people: what binds, and what would work."""
        if self.feasible:
            return f"{self.share:.1%} of random architectures of {space} fit {self.limits}"
        options = "; or ".join(_flags(self.limits, other) for other in self.nearest)
        return (
            f"no architecture of space {space} fits {self.limits}: the {self.binding} limit binds; "
            f"nearest limits that work: {options}"
        )


def _flags(old: Limits, new: Limits) -> str:
    flags = []
    if new.sram_bytes != old.sram_bytes:
        flags.append(f"--sram {new.sram_bytes // 1024}KB")
    if new.flash_bytes != old.flash_bytes:
        flags.append(f"--flash {new.flash_bytes // 1024}KB")
    if new.latency_ms is not None and new.latency_ms != old.latency_ms:
        flags.append(f"--latency {new.latency_ms:g}ms")
    return " ".join(flags)


def nearest_feasible(
    space: SearchSpace,
    model: CostModel,
    limits: Limits,
    *,
    router_flash_bytes: int = 0,
    router_sram_bytes: int = 0,
    router_macs: int = 0,
    seed: int = 0,
) -> Feasibility:
    """Look for an architecture within `limits`; where there is none, for the nearest limits.

    Random architectures and the smallest one come first, then evolution towards the limits: of all
    of them at once, and of each limit alone with the others kept. `router_...` are the costs of
    the smallest router. Deterministic for a seed.

    Raises:
        InputError: a limit on latency, but no latency table.
    """
    rng = np.random.default_rng(seed)

    def costs(rows: IntArray) -> Costs:
        return model.evaluate(rows, router_flash_bytes, router_sram_bytes, router_macs)

    start = np.concatenate([space.extremes(), space.sample(_SAMPLES, rng)])
    fitting = limits.fits(costs(start))
    share = float(fitting[2:].mean())
    if fitting.any():
        return Feasibility(limits, share, _genes(start[fitting.argmax()]), "")

    def farthest(found: Costs) -> FloatArray:
        return np.asarray(limits.usage(found).max(axis=1))

    best = _descend(space, costs, farthest, start, rng, goal=1.0)
    found = costs(best[None])
    if limits.fits(found)[0]:
        return Feasibility(limits, share, _genes(best), "")
    options = [
        option
        for number, name in enumerate(limits.names)
        if (option := _relax_one(space, costs, limits, number, name, start, rng)) is not None
    ]
    joint = _round_up(limits, found)
    nearest = tuple(dict.fromkeys([*options, joint]))
    return Feasibility(limits, share, _genes(best), limits.binding(found), nearest)


def _relax_one(
    space: SearchSpace,
    costs: Callable[[IntArray], Costs],
    limits: Limits,
    number: int,
    name: str,
    start: IntArray,
    rng: np.random.Generator,
) -> Limits | None:
    """The smallest value of one limit that works with the others, or None if none does."""

    def score(found: Costs) -> FloatArray:
        usage = limits.usage(found)
        others = np.delete(usage, number, axis=1).max(axis=1)
        # Whatever breaks another limit is worse than anything that does not.
        return np.where(others > 1, 1e9 * others, usage[:, number])

    best = costs(_descend(space, costs, score, start, rng)[None])
    relaxed = replace(limits, **{_FIELDS[name]: getattr(_round_up(limits, best), _FIELDS[name])})
    return relaxed if relaxed.fits(best)[0] else None


_FIELDS = {"sram": "sram_bytes", "flash": "flash_bytes", "latency": "latency_ms"}


def _descend(
    space: SearchSpace,
    costs: Callable[[IntArray], Costs],
    score: Score,
    start: IntArray,
    rng: np.random.Generator,
    goal: float = -np.inf,
) -> IntArray:
    """The row with the lowest score that evolution finds from `start`; stops at `goal`."""
    rows, scores = start, score(costs(start))
    patience, lowest = _PATIENCE, np.inf
    for _ in range(_ROUNDS):
        order = np.argsort(scores, kind="stable")[:_PARENTS]
        rows, scores = rows[order], scores[order]
        patience = _PATIENCE if scores[0] < lowest else patience - 1
        lowest = min(lowest, float(scores[0]))
        if lowest <= goal or patience == 0:
            break
        parents = np.repeat(rows, _CHILDREN, axis=0)
        mixed = space.cross_over(parents, rows[rng.integers(0, len(rows), len(parents))], rng)
        children = np.concatenate(
            [space.mutate(parents, 0.05, rng), space.mutate(mixed, 0.05, rng)]
        )
        rows = np.unique(np.concatenate([rows, children]), axis=0)
        scores = score(costs(rows))
    return np.asarray(rows[scores.argmin()])


def _round_up(limits: Limits, costs: Costs) -> Limits:
    """`limits`, raised to what the one architecture in `costs` needs, in whole KB and ms."""
    sram = max(limits.sram_bytes, ceil(int(costs.sram_bytes[0]) / 1024) * 1024)
    flash = max(limits.flash_bytes, ceil(int(costs.flash_bytes[0]) / 1024) * 1024)
    latency = limits.latency_ms
    if latency is not None:
        latency = max(latency, float(ceil(costs.latency_ms[0])))
    return Limits(sram, flash, latency)


def _genes(row: IntArray) -> Genes:
    return tuple(row.tolist())
