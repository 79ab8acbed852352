"""What a router is compared with: confidences without a router, chance, either model alone, bounds.

A baseline is fitted (most have nothing to fit) on the split that routers are fitted on, and then
says with which weights inputs are sent at a coverage. Bounds look at the answers: they say what is
left to gain, and nobody can deploy them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from hybrid_nas.errors import InputError
from hybrid_nas.routing.checks import LARGEST
from hybrid_nas.routing.confidence import confidence_score
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import pair_curve, send_weights
from hybrid_nas.typing import BoolArray, FloatArray

Kind = Literal["confidence", "chance", "alone", "bound"]
Score = Callable[[ModelOutputs, BoolArray], FloatArray]

P_NORMS = tuple(range(1, 11))
_LARGEST_LOG_TEMPERATURE = 4.0
_FLOOR = 1e-12  # of a probability whose logarithm stands for a logit


@dataclass(frozen=True, eq=False)
class FittedBaseline:
    """A baseline that is ready to decide.

    Args:
        name: in `BASELINES`.
        score: the send score (n,) of outputs, given where the cloud is right; None where decisions
            do not depend on inputs.
        share: the share of the inputs that is sent whatever the coverage, where there is no score.
        setting: what was fitted, by name.
    """

    name: str
    score: Score | None
    share: float = 0.0
    setting: Mapping[str, float] = field(default_factory=dict)

    def weights(
        self, outputs: ModelOutputs, cloud_correct: BoolArray | None, coverage: float
    ) -> FloatArray:
        """The probability (n,) with which each input is sent when exactly 1 - `coverage` are.

        `cloud_correct` (n,) is looked at by bounds alone; None stands for a cloud without errors,
        as an abstaining classifier is judged.
        """
        if self.score is None:
            return np.full(outputs.n, self.share)
        if cloud_correct is None:
            cloud_correct = np.ones(outputs.n, dtype=np.bool_)
        return send_weights(self.score(outputs, cloud_correct), coverage)


Fit = Callable[[str, ModelOutputs, BoolArray | None], FittedBaseline]


@dataclass(frozen=True)
class Baseline:
    """How a baseline is fitted, and where it comes from.

    Args:
        kind: `confidence` reads the base's outputs, `chance` nothing, `alone` is one of the models
            for all inputs, and a `bound` looks at the answers.
        source: who proposed it.
        fit: given its name, the base's outputs with labels on the fitting split, and where the
            cloud is right there (None without one).
        needs: what outputs must have: `logits`, `scores` (logits or probabilities), `confidence`
            (any of these, or the predicted class's probability) or nothing.
        needs_cloud: whether it means nothing, or what another one means, without a cloud.
    """

    kind: Kind
    source: str
    fit: Fit
    needs: Literal["logits", "scores", "confidence", ""] = ""
    needs_cloud: bool = False

    def is_available(self, outputs: ModelOutputs, *, with_cloud: bool) -> bool:
        """Whether it can be computed from outputs like these."""
        has = {
            "logits": outputs.logits is not None,
            "scores": outputs.scores is not None,
            "confidence": outputs.scores is not None or outputs.confidence is not None,
            "": True,
        }
        return has[self.needs] and (with_cloud or not self.needs_cloud)


def available_baselines(outputs: ModelOutputs, *, with_cloud: bool = True) -> tuple[str, ...]:
    """Names of the baselines that these outputs allow, in the registry's order."""
    return tuple(
        name for name, one in BASELINES.items() if one.is_available(outputs, with_cloud=with_cloud)
    )


def fit_baseline(
    name: str, outputs: ModelOutputs, cloud_correct: BoolArray | None
) -> FittedBaseline:
    """Fit a baseline on the split that routers are fitted on.

    Raises:
        InputError: for an unknown name, or outputs that lack what it reads.
    """
    if name not in BASELINES:
        raise InputError(f"{name!r} is no baseline: expected one of {', '.join(BASELINES)}")
    baseline = BASELINES[name]
    if not baseline.is_available(outputs, with_cloud=cloud_correct is not None):
        needed = baseline.needs if not baseline.needs_cloud else "a cloud"
        raise InputError(f"{outputs.source}: the baseline {name} needs {needed}: add it")
    return baseline.fit(name, outputs, cloud_correct)


def p_norm_score(outputs: ModelOutputs, p: float) -> FloatArray:
    """Minus the largest of the centred logits divided by their p-norm, (n,).

    MaxLogit-pNorm of Cattelan & Silva, "How to Fix a Broken Confidence Estimator" (2023): z - mean
    z over its p-norm takes the logits' scale out. Rows of equal logits get 0, the least confidence.
    """
    assert outputs.logits is not None
    centred = outputs.logits.astype(np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    largest = np.abs(centred).max(axis=1, keepdims=True)
    shape = np.divide(centred, largest, out=np.zeros_like(centred), where=largest > 0)
    norm = (np.abs(shape) ** p).sum(axis=1) ** (1.0 / p)
    score: FloatArray = -np.divide(
        shape.max(axis=1), norm, out=np.zeros(len(shape)), where=norm > 0
    )
    return score


def fit_temperature(outputs: ModelOutputs) -> float:
    """The temperature T with the least negative log-likelihood of softmax(z / T).

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017). Within exp(-4) .. exp(4).

    Raises:
        InputError: there are no labels.
    """
    z = _logits(outputs)
    labels = outputs.labels
    if labels is None:
        raise InputError(f"{outputs.source}: labels are needed to fit a temperature: add `labels`")
    rows = np.arange(len(z))

    def loss(log_temperature: float) -> float:
        likelihood = log_softmax(z * np.exp(-log_temperature), axis=1)
        return -float(likelihood[rows, labels].mean())

    bounds = (-_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def _logits(outputs: ModelOutputs) -> FloatArray:
    """Logits (n, c), or logarithms of probabilities, which are logits but for a constant."""
    if outputs.logits is not None:
        return outputs.logits.astype(np.float64)
    assert outputs.probabilities is not None
    return np.log(np.maximum(outputs.probabilities.astype(np.float64), _FLOOR))


def _fit_confidence(
    name: str, outputs: ModelOutputs, cloud_correct: BoolArray | None
) -> FittedBaseline:
    return FittedBaseline(name, lambda outputs, _: confidence_score(outputs, name))


def _fit_p_norm(
    name: str, outputs: ModelOutputs, cloud_correct: BoolArray | None
) -> FittedBaseline:
    """The p with the largest area under accuracy over coverage; the smallest of equals."""

    def area(p: int) -> float:
        return pair_curve(p_norm_score(outputs, p), outputs.correct, cloud_correct).area

    best = max(P_NORMS, key=area)
    return FittedBaseline(name, lambda outputs, _: p_norm_score(outputs, best), 0.0, {"p": best})


def _fit_scaled(
    name: str, outputs: ModelOutputs, cloud_correct: BoolArray | None
) -> FittedBaseline:
    confidence = name.removesuffix(_SCALED)
    temperature = fit_temperature(outputs)

    def score(outputs: ModelOutputs, _: BoolArray) -> FloatArray:
        logits = (_logits(outputs) / temperature).clip(-LARGEST, LARGEST)
        return confidence_score(ModelOutputs(logits=logits, source=outputs.source), confidence)

    return FittedBaseline(name, score, 0.0, {"temperature": temperature})


def _ranked_by(score: Score) -> Fit:
    """A baseline without anything to fit."""
    return lambda name, outputs, cloud_correct: FittedBaseline(name, score)


def _always(share: float) -> Fit:
    return lambda name, outputs, cloud_correct: FittedBaseline(name, None, share)


def _chance(outputs: ModelOutputs, cloud_correct: BoolArray) -> FloatArray:
    """All alike: ties are sent in random order."""
    return np.zeros(outputs.n)


def _oracle_label(outputs: ModelOutputs, cloud_correct: BoolArray) -> FloatArray:
    """o = 1 where only the cloud is right; the quota's rest is filled at random."""
    return (cloud_correct & ~outputs.correct).astype(np.float64)


def _signed_oracle(outputs: ModelOutputs, cloud_correct: BoolArray) -> FloatArray:
    """1{g=y} - 1{b=y}: what the cloud would spoil goes last. The most at exactly a coverage."""
    return cloud_correct.astype(np.float64) - outputs.correct


def _errors_first(outputs: ModelOutputs, cloud_correct: BoolArray) -> FloatArray:
    """Where the base is wrong, whether or not the cloud is right; then the rest at random."""
    return (~outputs.correct).astype(np.float64)


_SCALED = "-temperature"
_KAG = 'Kag et al., "Efficient Edge Inference by Selective Query" (ICLR 2023)'
_HENDRYCKS = "Hendrycks & Gimpel (ICLR 2017)"
_GUO = "Guo et al. (ICML 2017)"

BASELINES: Mapping[str, Baseline] = {
    "msp": Baseline("confidence", _HENDRYCKS, _fit_confidence, "confidence"),
    "entropy": Baseline("confidence", "BranchyNet (ICPR 2016); " + _KAG, _fit_confidence, "scores"),
    "margin": Baseline("confidence", "Scheffer et al. (IDA 2001)", _fit_confidence, "scores"),
    "max-logit": Baseline("confidence", "Hendrycks et al. (ICML 2022)", _fit_confidence, "logits"),
    "max-logit-p-norm": Baseline("confidence", "Cattelan & Silva (2023)", _fit_p_norm, "logits"),
    "msp" + _SCALED: Baseline("confidence", _GUO, _fit_scaled, "scores"),
    "entropy" + _SCALED: Baseline("confidence", _GUO, _fit_scaled, "scores"),
    "margin" + _SCALED: Baseline("confidence", _GUO, _fit_scaled, "scores"),
    "random": Baseline("chance", "inputs sent at random", _ranked_by(_chance)),
    "device-only": Baseline("alone", "the base answers everything", _always(0.0)),
    "cloud-only": Baseline("alone", "the cloud answers everything", _always(1.0), needs_cloud=True),
    "errors-first": Baseline("bound", _KAG + ", poster", _ranked_by(_errors_first)),
    "oracle-o": Baseline(
        "bound", _KAG + ", proxy label o", _ranked_by(_oracle_label), needs_cloud=True
    ),
    "signed-oracle": Baseline(
        "bound", "the signed gain itself", _ranked_by(_signed_oracle), needs_cloud=True
    ),
}
"""Every baseline by its name: confidences first, bounds last."""

CONFIDENCE_BASELINES = tuple(name for name, one in BASELINES.items() if one.kind == "confidence")
"""Those that can be deployed instead of a router; MSP, the plainest, first."""
