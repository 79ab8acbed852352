"""What a search chooses: a base's genes and the design of the router beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.typing import BoolArray, IntArray


@dataclass(frozen=True)
class Candidate:
    """A base-router pair: canonical genes and a router design's name. Equal pairs are equal."""

    genes: Genes
    router: str


@dataclass(frozen=True)
class CandidateSpace:
    """Pairs as integer rows: the space's gene columns, then the router's number.

    Attributes:
        space: of the bases.
        routers: names of router designs.
    """

    space: SearchSpace
    routers: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Choices of each column by name, in column order."""
        genes = {gene.name: len(gene.choices) for gene in self.space.genes}
        return {**genes, "router": len(self.routers)}

    def candidate(self, row: IntArray) -> Candidate:
        """The pair that a row stands for."""
        genes = self.space.canonical(row[None, :-1])[0]
        return Candidate(tuple(genes.tolist()), self.routers[int(row[-1])])

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """`n` rows, every column uniform; genes that turn out inactive keep a value."""
        sizes = np.array(list(self.sizes.values()))
        return rng.integers(0, sizes, (n, len(sizes)))

    def mutate(
        self, row: IntArray, n: int, changes: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """`n` copies of `row`; copy i has ``changes[i]`` random columns redrawn."""
        drawn = self.sample(n, rng)
        rank = np.argsort(np.argsort(rng.random(drawn.shape), axis=1), axis=1)
        return np.where(rank < changes[:, None], drawn, row)

    def canonical(self, rows: IntArray) -> IntArray:
        """Rows with inactive genes set to -1: equal exactly when the pairs are equal."""
        return np.concatenate([self.space.canonical(rows[:, :-1]), rows[:, -1:]], axis=1)

    def not_among(self, rows: IntArray, known: frozenset[tuple[int, ...]]) -> BoolArray:
        """Which rows are pairs that `known` (canonical rows) does not hold."""
        return np.array([tuple(row) not in known for row in self.canonical(rows).tolist()], bool)

    def row(self, candidate: Candidate) -> tuple[int, ...]:
        """Canonical row of a pair."""
        return (*candidate.genes, self.routers.index(candidate.router))
