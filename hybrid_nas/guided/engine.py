"""Ask and tell: the next candidates to score, from all scores so far.

An engine has no memory but the history that it is given: the same seed and history give the same
proposal, so that a search that was killed goes on as it would have gone. What it keeps is a cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.guided.effort import Effort
from hybrid_nas.guided.inner import whole
from hybrid_nas.guided.plan import Plan
from hybrid_nas.guided.predictor import Predictor, Settings
from hybrid_nas.guided.problem import History, Problem, finite
from hybrid_nas.guided.references import References
from hybrid_nas.guided.start import first_candidate
from hybrid_nas.typing import FloatArray, IntArray


class Engine:
    """Proposes candidates by expected hypervolume improvement.

    Args:
        problem: what is searched.
        seed: decides every draw.
        reference: losses (m,) that bound the hypervolume; `References.around` all that was seen,
            if None.
        earlier: scores of an earlier search, perhaps under other limits or costs. Its learnt
            losses are taken over and its exact ones computed anew. Its candidates inform the
            predictor and may be proposed again.
        effort: sizes of the inner search.

    Raises:
        InputError: an array has the wrong shape, or the seed is negative.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        seed: int = 0,
        reference: Sequence[float] | None = None,
        earlier: History | None = None,
        effort: Effort | None = None,
    ) -> None:
        check_seed(seed)
        self.problem, self.seed = problem, seed
        self.effort = effort or Effort()
        self.reference = None if reference is None else np.asarray(reference, dtype=np.float64)
        if self.reference is not None and self.reference.shape != (len(problem.objectives),):
            raise InputError(
                f"the reference has {self.reference.size} values and there are "
                f"{len(problem.objectives)} objectives: give one for each"
            )
        self.earlier = self._taken_over(earlier)
        self._settings: tuple[object, Settings] | None = None
        self._plan: tuple[object, Plan] | None = None

    def within(self, values: Mapping[int, int]) -> Engine:
        """An engine with the same scores that proposes only rows with `values`, by column."""
        other = copy(self)
        other.problem, other._plan = self.problem.within(values), None
        other.__dict__.pop("_listed", None)
        return other

    def _taken_over(self, earlier: History | None) -> History:
        if earlier is None:
            return History.empty(self.problem)
        shape = (len(earlier), len(self.problem.objectives))
        if earlier.rows.shape != (len(earlier), len(self.problem.genes)) or (
            earlier.losses.shape != shape
        ):
            raise InputError(
                f"earlier scores have rows of {earlier.rows.shape[1:]} genes and losses of "
                f"{earlier.losses.shape[1:]}; this search has {len(self.problem.genes)} genes and "
                f"{shape[1]} objectives"
            )
        rows = self.problem.canonical(earlier.rows)
        losses = self.problem.exact(self.problem.costs(rows))
        for k in self.problem.learnt:
            losses[:, k] = earlier.losses[:, k]
        return History(rows, losses)

    def ask(self, history: History, pending: IntArray | None = None, skip: int = 0) -> IntArray:
        """The next candidate, a canonical row (genes,).

        Args:
            history: what was scored, in the order in which it was begun.
            pending: canonical rows that are being scored, (k, genes). They count as if they were
                scored as predicted, so that proposals keep apart.
            skip: proposals to leave out, for others who ask at the same time.

        Raises:
            ExhaustedError: nothing new is feasible.
        """
        pending = self.problem.no_rows if pending is None else pending
        taken = np.concatenate([history.rows, pending])
        if not self._enough(history):
            for _ in range(skip):
                other = first_candidate(self.problem, taken, self.seed)
                taken = np.concatenate([taken, other[None]])
            return first_candidate(self.problem, taken, self.seed)
        block = max(1, len(history) // self.effort.block)
        planned = history.first(len(history) - len(history) % block)
        plan = self._plan_of(planned if self._enough(planned) else history)
        return plan.next(taken, pending, skip)

    def predict(self, history: History, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of all losses of canonical rows, (n, m) each."""
        return self._predictor(history)(rows, self.problem.costs(rows))

    def references(self, history: History) -> References:
        """Up to where hypervolume counts after a history."""
        if self.reference is not None:
            return References.at(self.reference)
        return References.around(finite(self.earlier.then(history).losses))

    @cached_property
    def _listed(self) -> tuple[IntArray, FloatArray] | None:
        return whole(self.problem)

    def _enough(self, history: History) -> bool:
        """Whether there are scores to learn from."""
        losses = np.concatenate([self.earlier.losses, history.losses])
        return len(finite(losses)) >= self.effort.startup

    def _plan_of(self, history: History) -> Plan:
        if self._plan is None or self._plan[0] != history.digest:
            plan = Plan(
                self.problem,
                self.effort,
                self.seed,
                self.earlier,
                history,
                self.references(history),
                self._listed,
                self._predictor(history),
            )
            self._plan = (history.digest, plan)
        return self._plan[1]

    def _predictor(self, history: History) -> Predictor:
        return Predictor.given(self.problem, self._settings_of(history), self.earlier.then(history))

    def _settings_of(self, history: History) -> Settings:
        """Fitted to the first scores, as many as the last step of a growing series."""
        count, step = 0, float(self.effort.startup)
        while step <= len(history):
            count, step = int(step), max(step + 1, step * self.effort.growth)
        known = self.earlier.then(history.first(count) if count else history)
        if self._settings is None or self._settings[0] != known.digest:
            self._settings = (known.digest, Settings.fitted(self.problem, known))
        return self._settings[1]


def check_seed(seed: int) -> None:
    """Refuse what NumPy's generators do not take.

    Raises:
        InputError: it is no whole number of 0 or more.
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"a seed is a whole number of 0 or more (got {seed!r})")
