"""What a search chooses: a base's genes, the router's design, and the cloud's genes if it may."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.typing import BoolArray, IntArray

CLOUD_PREFIX = "cloud."
"""Of the columns of the cloud's genes."""


@dataclass(frozen=True)
class Candidate:
    """A base-router pair: canonical genes and a router design's name. Equal pairs are equal.

    `cloud` are the canonical genes of the cloud's network; None where the cloud is not chosen.
    """

    genes: Genes
    router: str
    cloud: Genes | None = None


@dataclass(frozen=True)
class CandidateSpace:
    """Pairs as integer rows: base's genes, then the cloud's if it is chosen, then the router.

    Attributes:
        space: of the bases.
        routers: names of router designs; the last column is a number among them.
        cloud: space of the clouds; None where every pair has the same cloud.
    """

    space: SearchSpace
    routers: tuple[str, ...]
    cloud: SearchSpace | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Choices of each column by name, in column order."""
        genes = {gene.name: len(gene.choices) for gene in self.space.genes}
        if self.cloud is not None:
            genes |= {CLOUD_PREFIX + gene.name: len(gene.choices) for gene in self.cloud.genes}
        return {**genes, "router": len(self.routers)}

    def base_genes(self, rows: IntArray) -> IntArray:
        """Columns of the base of rows (n, columns), canonical: (n, genes of `space`)."""
        return self.space.canonical(rows[:, : len(self.space.genes)])

    def cloud_genes(self, rows: IntArray) -> IntArray:
        """Columns of the cloud, canonical: (n, genes of `cloud`); (n, 0) where there is none."""
        found = rows[:, len(self.space.genes) : -1]
        return found if self.cloud is None else self.cloud.canonical(found)

    def extremes(self) -> IntArray:
        """The smallest and the largest networks, of base and cloud, (2, columns); router 0.

        Inactive genes are 0.
        """
        parts = [self.space.extremes()]
        if self.cloud is not None:
            parts.append(self.cloud.extremes())
        return np.concatenate([*(np.maximum(p, 0) for p in parts), np.zeros((2, 1), int)], axis=1)

    def candidate(self, row: IntArray) -> Candidate:
        """The pair that a row stands for."""
        genes, router = self.base_genes(row[None])[0], self.routers[int(row[-1])]
        cloud = None
        if self.cloud is not None:
            cloud = tuple(self.cloud_genes(row[None])[0].tolist())
        return Candidate(tuple(genes.tolist()), router, cloud)

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
        return np.concatenate([self.base_genes(rows), self.cloud_genes(rows), rows[:, -1:]], axis=1)

    def not_among(self, rows: IntArray, known: frozenset[tuple[int, ...]]) -> BoolArray:
        """Which rows are pairs that `known` (canonical rows) does not hold."""
        return np.array([tuple(row) not in known for row in self.canonical(rows).tolist()], bool)

    def row(self, candidate: Candidate) -> tuple[int, ...]:
        """Canonical row of a pair."""
        router = self.routers.index(candidate.router)
        return (*candidate.genes, *(candidate.cloud or ()), router)
