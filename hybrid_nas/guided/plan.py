"""The proposals that follow one history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hybrid_nas.guided.candidates import Collector, exhausted
from hybrid_nas.guided.effort import Effort
from hybrid_nas.guided.inner import Pool, Rating, climb, refreshed, search
from hybrid_nas.guided.pareto import Boxes, front_mask, thinned
from hybrid_nas.guided.predictor import Predictor
from hybrid_nas.guided.problem import ExhaustedError, History, Problem, finite, keys
from hybrid_nas.guided.references import References
from hybrid_nas.typing import FloatArray, IntArray


@dataclass(eq=False)
class Plan:
    """Proposals made one by one as they are asked for.

    A proposal depends on the history, the proposals before it and what others are scoring. What was
    scored since the plan began does not count (nor is it proposed again): a plan that is made anew
    in the middle, after a restart, is the same plan.

    Attributes:
        problem, effort, seed: as the engine's.
        earlier: scores of an earlier search.
        history: what this search has scored.
        references: up to where hypervolume counts.
        listed: all feasible candidates and their costs where the space is small.
        predictor: of what comes next; it comes to believe its own predictions of candidates that
            are proposed or pending.
    """

    problem: Problem
    effort: Effort
    seed: int
    earlier: History
    history: History
    references: References
    listed: tuple[IntArray, FloatArray] | None
    predictor: Predictor
    _proposed: list[IntArray] = field(default_factory=list)
    _believed: History = field(init=False)
    _pool: Pool | None = None

    def __post_init__(self) -> None:
        self._believed = History.empty(self.problem)

    def next(self, taken: IntArray, pending: IntArray, skip: int) -> IntArray:
        """The first proposal, after `skip` others, that is not among rows `taken`."""
        known = frozenset(keys(taken))
        place = 0
        while True:
            if place == len(self._proposed):
                self._proposed.append(self._propose(pending))
            row = self._proposed[place]
            if keys(row[None])[0] not in known:
                if not skip:
                    return row
                skip -= 1
            place += 1

    def _propose(self, pending: IntArray) -> IntArray:
        self._believe(np.concatenate([*[row[None] for row in self._proposed], pending]))
        rating = Rating(self.predictor, self._boxes())
        met = frozenset(keys(self.history.rows)) | frozenset(keys(self._believed.rows))
        if self.listed is not None:
            rows, costs = self.listed
            new = np.array([key not in met for key in keys(rows)], bool)
            if not new.any():
                raise ExhaustedError(exhausted(met))
            pool = rating(rows[new], costs[new])
        else:
            rng = np.random.default_rng((self.seed, len(self.history), len(self._proposed)))
            pool = self._search(rating, Collector(self.problem, met), rng)
        return np.asarray(pool.rows[rating.choice(pool)])

    def _search(self, rating: Rating, collect: Collector, rng: np.random.Generator) -> Pool:
        """Search once with all effort; the proposals after the first start where that ended."""
        effort, kept = self.effort, self._kept(collect)
        if kept is None:
            self._pool = search(rating, collect, self._parents(), effort, rng)
        else:
            kept = refreshed(rating, kept)
            self._pool = climb(rating, collect, kept, replace(effort, climbs=1, climbers=1), rng)
        return self._pool

    def _kept(self, collect: Collector) -> Pool | None:
        """What the search before left that is still new."""
        if self._pool is None:
            return None
        pool = self._pool.best(self.effort.kept)
        new = np.flatnonzero(collect.take(pool.rows))
        return pool[new] if len(new) else None

    def _believe(self, rows: IntArray) -> None:
        """Let candidates count as if they were scored as predicted."""
        met = frozenset(keys(self.history.rows)) | frozenset(keys(self._believed.rows))
        rows = rows[np.array([key not in met for key in keys(rows)], bool)]
        if len(rows):
            costs = self.problem.costs(rows)
            losses, _ = self.predictor(rows, costs)
            self._believed = self._believed.then(History(rows, losses))
            self.predictor = self.predictor.believing(rows, costs)

    def _boxes(self) -> Boxes:
        """What is undominated by the scores of this search, believed ones included."""
        here = self.history.then(self._believed).losses
        return self.references.undominated(thinned(finite(here)))

    def _parents(self) -> IntArray:
        """What children are bred from: the front, and the front behind it if that is small."""
        known = self.earlier.then(self.history)
        whole = np.isfinite(known.losses).all(1)
        rows, losses = known.rows[whole], known.losses[whole]
        front = front_mask(losses)
        parents, rest = rows[front], rows[~front]
        if len(parents) < self.effort.parents // 2:
            parents = np.concatenate([rest[front_mask(losses[~front])], parents])
        return parents[-self.effort.parents :]
