"""A fitted router, as a search keeps it: numbers and names, nothing to execute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.confidence import CONFIDENCES, confidence_score
from hybrid_nas.routing.designs import DESIGNS, RouterDesign, design
from hybrid_nas.routing.network import RouterNetwork
from hybrid_nas.routing.objectives import OBJECTIVES, breaks_even
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.signals import signal_matrix
from hybrid_nas.routing.thresholds import fit_threshold, sent
from hybrid_nas.typing import BoolArray, FloatArray

SCHEMA = "hybrid-nas/router/1"


@dataclass(frozen=True, eq=False)
class FittedRouter:
    """A send score with its thresholds.

    Args:
        design: the design that was fitted.
        method: the objective, or the plain confidence that the choice fell back to.
        network: the fitted network; None for a plain confidence.
        n_classes: classes of the base it was fitted for.
        n_features: pooled features of that base (0 if it reads none).
        thresholds: by target coverage; inputs with a higher score are sent.
    """

    design: RouterDesign
    method: str
    network: RouterNetwork | None
    n_classes: int
    n_features: int
    thresholds: Mapping[float, float]

    @property
    def deployed_design(self) -> RouterDesign:
        """What runs on the device: `design`, or a plain confidence where that was chosen."""
        return self.design if self.network is not None else DESIGNS["confidence"]

    @property
    def deployed_name(self) -> str:
        """What routes: the design's name, or the plain confidence's."""
        return self.design.kind if self.network is not None else self.method

    @property
    def break_even(self) -> bool:
        """Whether a score of 0 means that base and cloud are equally likely to be right."""
        return breaks_even(self.method)

    @property
    def params(self) -> int:
        """Weights and biases."""
        return 0 if self.network is None else self.network.params

    @property
    def flash_bytes(self) -> int:
        """Upper bound of the flash that its constants take in int8."""
        return self.deployed_design.flash_bytes(self.n_classes, self.n_features)

    @property
    def sram_bytes(self) -> int:
        """Upper bound of the SRAM it takes while it runs."""
        return self.deployed_design.sram_bytes(self.n_classes, self.n_features)

    @property
    def macs(self) -> int:
        """Upper bound of its multiply-accumulates per input."""
        return self.deployed_design.macs(self.n_classes, self.n_features)

    def send_score(self, outputs: ModelOutputs) -> FloatArray:
        """The send score (n,) of each input.

        Raises:
            InputError: if the outputs have other signals than those it was fitted to.
        """
        if self.network is None:
            return confidence_score(outputs, self.method)
        signals = signal_matrix(outputs, self.design.blocks, self.n_classes)
        if signals.shape[1] != len(self.network.mean):
            raise InputError(
                f"{outputs.source} gives {signals.shape[1]} signals and the router reads "
                f"{len(self.network.mean)}: use outputs of the base that it was fitted to"
            )
        return OBJECTIVES[self.method].score(self.network(signals), self.network.heads)

    def sent(self, outputs: ModelOutputs, coverage: float) -> BoolArray:
        """Which inputs are sent at a target coverage that has a threshold."""
        if coverage not in self.thresholds:
            known = ", ".join(format(c, "g") for c in self.thresholds) or "none"
            raise InputError(f"the router has no threshold for coverage {coverage:g}, only {known}")
        return sent(self.send_score(outputs), self.thresholds[coverage])

    def with_thresholds(self, score: FloatArray, coverages: tuple[float, ...]) -> FittedRouter:
        """The same router with thresholds for scores of another split, or of another arithmetic."""
        thresholds = {
            coverage: fit_threshold(score, coverage, break_even=self.break_even)
            for coverage in coverages
        }
        return replace(self, thresholds=thresholds)

    def to_dict(self) -> dict[str, Any]:
        """A document that JSON keeps exactly."""
        return {
            "schema": SCHEMA,
            "design": self.design.kind,
            "blocks": list(self.design.blocks),
            "method": self.method,
            "n_classes": self.n_classes,
            "n_features": self.n_features,
            "thresholds": {repr(float(c)): t for c, t in self.thresholds.items()},
            "network": None if self.network is None else self.network.to_dict(),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FittedRouter:
        """The router that `to_dict` wrote.

        Raises:
            InputError: if the document is no router of this schema, or its parts do not fit.
        """
        if document.get("schema") != SCHEMA:
            raise InputError(f"schema {document.get('schema')!r} is no router: expected {SCHEMA!r}")
        try:
            shape, method = design(document["design"]), str(document["method"])
            n_classes, n_features = int(document["n_classes"]), int(document["n_features"])
            thresholds = {float(c): float(t) for c, t in document["thresholds"].items()}
            plain = document["network"]
            network = None if plain is None else RouterNetwork.from_dict(plain)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"the router document is damaged ({type(error).__name__}: {error}): fit it again"
            ) from error
        fits = (
            method in CONFIDENCES
            if network is None
            else method in OBJECTIVES and set(OBJECTIVES[method].heads) <= set(network.heads)
        )
        if not fits or not np.isfinite(list(thresholds.values())).all():
            raise InputError(f"the router document is damaged (method {method!r}): fit it again")
        return cls(shape, method, network, n_classes, n_features, thresholds)
