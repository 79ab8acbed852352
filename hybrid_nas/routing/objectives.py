"""What a router is fitted to, and how its outputs become a send score.

Let b and g say whether base and cloud are right. A router has one output per *head*; each head is
fitted by its own loss, and an *objective* is the heads that it needs and the score made of them:

========================  ==============================  ========================================
objective                 heads, and what they fit        send score
========================  ==============================  ========================================
`signed-gain`             logistic on g(1-b) and b(1-g)   P(only cloud right) - P(only base right)
`gain-regression`         least squares on g - b          E(g - b)
`two-stage`               b log(1+e^s) + g log(1+e^-s)    s = log P(g=y) / P(b=y)
`oracle-label`            logistic on g(1-b)              P(only cloud right), the paper's label
`soft-gain`               least squares on p_g(y)-p_b(y)  E(p_g(y) - p_b(y))
`oracle-label-penalised`  as `oracle-label`, and the      as `oracle-label`
                          paper's coverage penalty
========================  ==============================  ========================================

P(g=y|x) - P(b=y|x) equals P(only cloud right|x) - P(only base right|x). The second form is fitted:
what both get right cancels before the fit, not after it, where it would add its noise twice.

The soft gain (Jitkrittum et al., NeurIPS 2023) puts the probability that each model gives to the
label in place of right and wrong. It is less noisy, and biased where the two are not calibrated
alike, so that 0 is no break-even point. It needs the probabilities of both.

The coverage penalty (Kag et al., ICLR 2023) adds lambda * relu(mean sigmoid(s) - (1 - c)) to the
mean loss. It lowers all scores together, and a threshold set afterwards for a coverage undoes that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from hybrid_nas.errors import InputError
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

CAPPED = "only-cloud-capped"
"""The head of `oracle-label-penalised`."""


@dataclass(frozen=True, eq=False)
class HeadTargets:
    """The losses of some heads on n inputs, one column each.

    A logistic head has the loss weight * log(1 + e^s) - positive * s; a least-squares head has
    weight * (s - positive)^2 / 2.

    A logistic head whose `cap` is finite has strength * relu(mean sigmoid(s) - cap) added to its
    mean loss; `cap` is (heads,).
    """

    heads: tuple[str, ...]
    weight: FloatArray
    positive: FloatArray
    logistic: BoolArray
    cap: FloatArray
    strength: float

    def take(self, rows: BoolArray | IntArray) -> HeadTargets:
        """The targets of some inputs."""
        return replace(self, weight=self.weight[rows], positive=self.positive[rows])

    def only(self, column: int) -> HeadTargets:
        """The targets of one head."""
        one = slice(column, column + 1)
        return replace(
            self,
            heads=self.heads[one],
            weight=self.weight[:, one],
            positive=self.positive[:, one],
            logistic=self.logistic[one],
            cap=self.cap[one],
        )

    def loss(self, outputs: FloatArray) -> FloatArray:
        """The loss of each input and head, (..., n, heads), the penalty shared by the inputs."""
        logistic = self.weight * np.logaddexp(0.0, outputs) - self.positive * outputs
        squares = 0.5 * self.weight * (outputs - self.positive) ** 2
        loss: FloatArray = np.where(self.logistic, logistic, squares)
        if np.isfinite(self.cap).any():
            share = expit(outputs).mean(axis=-2, keepdims=True)
            loss += self.strength * np.maximum(share - self.cap, 0.0)
        return loss

    def base_rate(self) -> FloatArray:
        """The constant output of each head that fits best (bounded for events never seen)."""
        total = np.maximum(self.weight.sum(axis=0), 1.0)
        share = self.positive.sum(axis=0) / total
        bounded = np.clip(share, 0.5 / total, 1.0 - 0.5 / total)
        rate: FloatArray = np.where(self.logistic, np.log(bounded) - np.log1p(-bounded), share)
        return rate


@dataclass(frozen=True)
class CoveragePenalty:
    """strength * relu(mean sigmoid(s) - (1 - coverage)), added to the mean loss.

    With a strength of at most 1, the penalised logistic loss is still convex in s: its curvature is
    p(1-p) (1 + strength (1-2p)).

    Raises:
        InputError: for a coverage outside (0, 1] or a negative strength.
    """

    coverage: float = 0.7
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.coverage <= 1.0:
            raise InputError(f"a coverage lies in (0, 1] (got {self.coverage:g})")
        if not 0.0 <= self.strength < np.inf:
            raise InputError(f"the coverage penalty must be at least 0 (got {self.strength:g})")


def head_targets(
    heads: Sequence[str],
    base_worth: BoolArray | FloatArray,
    cloud_worth: BoolArray | FloatArray,
    *,
    soft_gain: FloatArray | None = None,
    penalty: CoveragePenalty | None = None,
) -> HeadTargets:
    """The losses of `heads` where the answers of base and cloud are worth what is given, (n,) each.

    Worth is whether an answer is right, or a reward between 0 and 1: the positive and the negative
    part of its gain then take the places of "only the cloud is right" and "only the base is right".
    A logistic loss with a target t between 0 and 1 is least at E[t | x] too, so scores rank and
    break even as they do for accuracy.

    Args:
        heads: names of heads, see `OBJECTIVES`.
        base_worth, cloud_worth: of the answers of each.
        soft_gain: p_g(y) - p_b(y) of each input, for the head of that name.
        penalty: for the head `only-cloud-capped`; by default at coverage 0.7.

    Raises:
        InputError: if the soft gain is asked for and not given.
    """
    penalty = CoveragePenalty() if penalty is None else penalty
    b, g = base_worth.astype(np.float64), cloud_worth.astype(np.float64)
    ones, only_cloud = np.ones_like(b), np.maximum(g - b, 0.0)
    weight_and_positive = {
        "only-cloud": (ones, only_cloud),
        "only-base": (ones, np.maximum(b - g, 0.0)),
        "ratio": (b + g, g),
        "gain": (ones, g - b),
        CAPPED: (ones, only_cloud),
    }
    if soft_gain is not None:
        weight_and_positive["soft-gain"] = (ones, soft_gain)
    elif "soft-gain" in heads:
        raise InputError(
            "soft-gain needs the class probabilities of base and cloud, and one of them gives "
            "predictions alone: give probs or logits, or choose another objective"
        )
    pairs = [weight_and_positive[head] for head in heads]
    return HeadTargets(
        heads=tuple(heads),
        weight=np.stack([weight for weight, _ in pairs], axis=1),
        positive=np.stack([positive for _, positive in pairs], axis=1),
        logistic=np.array([head not in ("gain", "soft-gain") for head in heads]),
        cap=np.array([1.0 - penalty.coverage if head == CAPPED else np.inf for head in heads]),
        strength=penalty.strength,
    )


@dataclass(frozen=True)
class Objective:
    """A send score made of the outputs of some heads.

    `break_even`: a score of 0 means that base and cloud are equally likely to be right, so inputs
    below it are better kept even where the quota has room.
    """

    name: str
    heads: tuple[str, ...]
    break_even: bool
    combine: Callable[[FloatArray], FloatArray]

    def score(self, outputs: FloatArray, heads: Sequence[str]) -> FloatArray:
        """The send score (n,) from outputs (n, len(heads)) that include this objective's heads."""
        return self.combine(outputs[:, [list(heads).index(head) for head in self.heads]])


def _signed_gain(outputs: FloatArray) -> FloatArray:
    only_cloud: FloatArray = expit(outputs[:, 0])
    only_base: FloatArray = expit(outputs[:, 1])
    return only_cloud - only_base


def _probability(outputs: FloatArray) -> FloatArray:
    probabilities: FloatArray = expit(outputs[:, 0])
    return probabilities


def _itself(outputs: FloatArray) -> FloatArray:
    return outputs[:, 0]


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("signed-gain", ("only-cloud", "only-base"), True, _signed_gain),
        Objective("gain-regression", ("gain",), True, _itself),
        Objective("two-stage", ("ratio",), True, _itself),
        Objective("oracle-label", ("only-cloud",), False, _probability),
        Objective("soft-gain", ("soft-gain",), False, _itself),
        Objective("oracle-label-penalised", (CAPPED,), False, _probability),
    )
}
"""Every objective by its name, the preferred one first."""

WITHOUT_CLOUD = ("oracle-label",)
"""What a base without a cloud is fitted to: then it is the probability that the base is wrong."""

_AUTOMATIC = ("signed-gain", "gain-regression", "two-stage", "oracle-label")


def automatic_objectives(*, soft_gain: bool) -> tuple[str, ...]:
    """What an automatic choice tries, the preferred one first.

    `soft_gain` says whether base and cloud both give probabilities. The penalised oracle label is
    fitted only where it is named.
    """
    return (*_AUTOMATIC, "soft-gain") if soft_gain else _AUTOMATIC


def objective(name: str) -> Objective:
    """The objective of that name.

    Raises:
        InputError: listing the names there are.
    """
    if name not in OBJECTIVES:
        raise InputError(f"{name!r} is no objective: expected one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]


def breaks_even(method: str) -> bool:
    """`Objective.break_even` of a method; False for a plain confidence."""
    return method in OBJECTIVES and OBJECTIVES[method].break_even


def heads_of(names: Sequence[str]) -> tuple[str, ...]:
    """The heads that some objectives need, each once."""
    return tuple(dict.fromkeys(head for name in names for head in objective(name).heads))
