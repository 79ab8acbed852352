"""The space of the exhaustive benchmark: a part of the default search's, small enough to score.

Ten of the 50 genes stay free, the others have one choice left. Two of the free ones have an effect
only at a greater depth, and the widest networks exceed 1 MB of flash, so that canonical genes and
limits are part of the benchmark.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.spaces.blocks import Block
from hybrid_nas.spaces.space import SearchSpace, Value
from hybrid_nas.typing import IntArray

FREE: Mapping[str, tuple[Value, ...]] = MappingProxyType(
    {
        "resolution": (32, 40, 48, 56, 64),
        "width": (0.3, 0.5, 0.7),
        "e1.1": (3, 6),
        "d2": (2, 3),
        "e2.3": (3, 6),
        "d3": (2, 3),
        "k3.3": (3, 7),
        "d5": (2, 3),
        "e5.3": (3, 6),
        "e6.1": (3, 4, 6),
    }
)
"""Genes with a choice left; e2.3, k3.3 and e5.3 count only where there is a third block."""

WIDE: Mapping[str, tuple[Value, ...]] = MappingProxyType({"e5.1": (6,), "e5.2": (6,)})
"""Where flash is spent: without it hardly a network would exceed 1 MB."""
REST: Mapping[str, Value] = MappingProxyType({"d": 2, "k": 5, "e": 4})
"""The one choice of all other genes, by the first letter of their names."""

LIMITS = {"sram_bytes": 320 * 1024, "flash_bytes": 1024 * 1024}
"""Of what is scored at all; tighter limits choose among it."""


def search_settings(**changes: object) -> SearchSettings:
    """The default search, on one thread."""
    return SearchSettings(**{**LIMITS, "threads": 1, **changes})  # type: ignore[arg-type]


def search_setup() -> SearchSetup:
    """Data, supernet, cloud and costs of the default search."""
    return SearchSetup(search_settings())


def narrowed(
    space: SearchSpace,
    free: Mapping[str, Sequence[Value]] | None = None,
    rest: Mapping[str, Value] = REST,
) -> SearchSpace:
    """`space` with fewer choices: those of `free`, and one for every other gene.

    Slots read the values of genes, so the same blocks come out of fewer choices.

    Raises:
        ValueError: a choice that the space does not have.
    """
    free = {**FREE, **WIDE} if free is None else free
    genes = []
    for gene in space.genes:
        choices = tuple(free.get(gene.name, (rest.get(gene.name[0]),)))
        if not set(choices) <= set(gene.choices):
            raise ValueError(f"gene {gene.name} has choices {gene.choices}, not {choices}")
        genes.append(replace(gene, choices=choices))
    return replace(space, name=f"{space.name}-exhaustive", genes=tuple(genes))


def widened(rows: IntArray, small: SearchSpace, space: SearchSpace) -> IntArray:
    """Rows of `small`, canonical, as canonical rows of the `space` that it is a part of."""
    wide = np.full(rows.shape, -1, dtype=np.int64)
    for column, gene in enumerate(small.genes):
        index = np.array([space.genes[column].choices.index(value) for value in gene.choices])
        active = rows[:, column] >= 0
        wide[active, column] = index[rows[active, column]]
    return wide


def lean(space: SearchSpace) -> SearchSpace:
    """`space` without the genes that have one choice: their values become part of the slots.

    Blocks that a fixed depth never reaches are left out.
    """
    free = [k for k, gene in enumerate(space.genes) if len(gene.choices) > 1]
    place = {old: new for new, old in enumerate(free)}
    slots = []
    for slot in space.slots:
        depth = slot.depth
        if depth is not None and depth[0] not in place:
            if space.genes[depth[0]].choices[0] <= depth[1]:
                continue
            depth = None
        elif depth is not None:
            depth = (place[depth[0]], depth[1])
        known = {at: space.genes[g].choices[0] for at, g in enumerate(slot.genes) if g not in place}
        genes = tuple(place[g] for g in slot.genes if g in place)
        slots.append(replace(slot, genes=genes, build=_with(slot.build, known), depth=depth))
    return replace(space, genes=tuple(space.genes[k] for k in free), slots=tuple(slots))


def _with(build: Callable[..., Block], known: Mapping[int, Value]) -> Callable[..., Block]:
    """`build` with the arguments at some places given."""

    def built(*values: Value) -> Block:
        rest = iter(values)
        whole = [known[k] if k in known else next(rest) for k in range(len(values) + len(known))]
        return build(*whole)

    return built


def free_columns(space: SearchSpace) -> IntArray:
    """Columns of the genes that `lean` keeps."""
    return np.array([k for k, gene in enumerate(space.genes) if len(gene.choices) > 1])
