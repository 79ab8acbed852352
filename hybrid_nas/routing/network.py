"""The arithmetic of a fitted router: standardise the signals, then one or two linear layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Layer:
    """x @ weights + bias; weights are (inputs, outputs)."""

    weights: FloatArray
    bias: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Outputs (n, outputs) of inputs (n, inputs)."""
        return x @ self.weights + self.bias


@dataclass(frozen=True, eq=False)
class RouterNetwork:
    """out(z) or out(relu(hidden(z))) of z = (x - mean) / scale: an output for each of `heads`."""

    mean: FloatArray
    scale: FloatArray
    hidden: Layer | None
    out: Layer
    heads: tuple[str, ...]

    def __call__(self, signals: FloatArray) -> FloatArray:
        """The heads' outputs (n, heads) for signals (n, d)."""
        z = (signals - self.mean) / self.scale
        return self.out(z if self.hidden is None else np.maximum(self.hidden(z), 0.0))

    @property
    def params(self) -> int:
        """Weights and biases."""
        layers = [self.out] if self.hidden is None else [self.hidden, self.out]
        return sum(layer.weights.size + layer.bias.size for layer in layers)

    def keep(self, heads: Sequence[str]) -> RouterNetwork:
        """The same network with some of its heads, in that order."""
        columns = [self.heads.index(head) for head in heads]
        out = Layer(self.out.weights[:, columns], self.out.bias[columns])
        return replace(self, out=out, heads=tuple(heads))

    def to_dict(self) -> dict[str, Any]:
        """Numbers and names that JSON keeps exactly; read by `from_dict`."""
        plain: dict[str, Any] = {
            "heads": list(self.heads),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "out": {"weights": self.out.weights.tolist(), "bias": self.out.bias.tolist()},
        }
        if self.hidden is not None:
            hidden = self.hidden
            plain["hidden"] = {"weights": hidden.weights.tolist(), "bias": hidden.bias.tolist()}
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RouterNetwork:
        """The network that `to_dict` wrote.

        Raises:
            InputError: if an array is missing, has another shape than its neighbours, or is not
            finite.
        """
        try:
            mean, scale = _array(plain["mean"], 1), _array(plain["scale"], 1)
            hidden = _layer(plain["hidden"]) if "hidden" in plain else None
            out, heads = _layer(plain["out"]), tuple(str(head) for head in plain["heads"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"this is no router network ({type(error).__name__}: {error}): expected mean, "
                "scale, out and heads as `to_dict` writes them"
            ) from error
        widths = [len(mean), *(hidden.weights.shape if hidden else ()), *out.weights.shape]
        joints = list(zip(widths[::2], widths[1::2], strict=False))
        if len(scale) != len(mean) or len(heads) != widths[-1] or any(a != b for a, b in joints):
            raise InputError(f"the router network's layers do not fit together: widths {widths}")
        return cls(mean, scale, hidden, out, heads)


def _array(values: object, ndim: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or not np.isfinite(array).all():
        raise ValueError(f"an array of shape {array.shape} where {ndim} finite axes are due")
    return array


def _layer(plain: Mapping[str, Any]) -> Layer:
    weights, bias = _array(plain["weights"], 2), _array(plain["bias"], 1)
    if len(bias) != weights.shape[1]:
        raise ValueError(f"{len(bias)} biases for {weights.shape[1]} outputs")
    return Layer(weights, bias)
