"""What an input costs: time, money or energy, with a query and without one.

Every input runs on the device; a share of them is sent as well. So the mean cost is base + E[w
send], with w the chance that an input is sent; `base` and `send` are one number, or one per input
as some clouds price them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.npz import load_arrays
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

LATENCY, PRICE, ENERGY = "mean_latency_ms", "mean_price", "mean_energy_mj"
_WORDS = {
    LATENCY: ("mean latency", " ms"),
    PRICE: ("mean price", ""),
    ENERGY: ("mean energy", " mJ"),
}
_PRICE_KEYS = ("price", "cost_per_10k")


@dataclass(frozen=True, eq=False)
class QueryCost:
    """One kind of cost.

    Args:
        name: `LATENCY` (milliseconds), `PRICE` (any currency) or `ENERGY` (millijoules).
        base: of each input on the device, one number or (n,).
        send: of each query beyond that, one number or (n,).

    >>> QueryCost(LATENCY, 200.0, 2000.0).mean(np.array([0.0, 1.0, 0.0, 1.0, 0.0]))
    1000.0
    """

    name: str
    base: FloatArray | float
    send: FloatArray | float

    def of(self, weights: FloatArray) -> FloatArray:
        """The expected cost (n,) of each input when inputs are sent with these weights."""
        each: FloatArray = self.base + weights * self.send
        return each

    def mean(self, weights: FloatArray) -> float:
        """The mean cost."""
        return float(self.of(weights).mean())

    def take(self, rows: BoolArray | IntArray) -> QueryCost:
        """The cost of some of the inputs."""
        return replace(self, base=_some(self.base, rows), send=_some(self.send, rows))

    @property
    def words(self) -> str:
        """The cost's name in a sentence."""
        return _WORDS[self.name][0]

    def text(self, value: float) -> str:
        """A value of it with its unit."""
        return f"{value:.6g}{_WORDS[self.name][1]}"


def load_price(path: Path, n: int) -> FloatArray | float | None:
    """The price of a query that an outputs file holds: one number, or one for each of `n` inputs.

    Keys: `price`, a number or (n,), or else `cost_per_10k`, a number. None where it has neither.

    Raises:
        InputError: for prices of another shape, negative or not finite.
    """
    found = load_arrays(path, _PRICE_KEYS)
    for key in _PRICE_KEYS:
        if key not in found:
            continue
        given = found[key]
        shapes = ((), (1,), (n,)) if key == "price" else ((), (1,))
        if given.dtype.kind not in "fiu" or given.shape not in shapes:
            expected = f"one number, or one for each of {n} inputs"
            raise InputError(
                f"{path}: {key} is {given.dtype} of shape {given.shape}: expected "
                f"{expected if key == 'price' else 'one number'}"
            )
        price: FloatArray = given.astype(np.float64) / (1.0 if key == "price" else 10_000.0)
        if not np.isfinite(price).all() or price.min() < 0.0:
            raise InputError(f"{path}: {key} has negative prices or NaN: expected 0 or more")
        return price if price.shape == (n,) and n > 1 else float(price.reshape(-1)[0])
    return None


def _some(cost: FloatArray | float, rows: BoolArray | IntArray) -> FloatArray | float:
    return cost[rows] if isinstance(cost, np.ndarray) else cost
