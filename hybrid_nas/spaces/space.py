"""A search space: genes, the slots they fill with blocks, and operations on many architectures.

An architecture is a row of choice indices, one per gene. Genes of blocks that the chosen depth
leaves out are *inactive*; a row is canonical when its inactive genes are -1, so that equal
networks have equal rows. Everything here works on matrices of rows, int64 of shape (n, genes).

A *slot* is a place for one block. Which block stands there depends on a few genes only (resolution,
width, and the slot's own kernel and expansion), so the blocks of one slot are few and what is known
about them can be looked up by number: see `SearchSpace.block_codes`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import Block
from hybrid_nas.typing import BoolArray, Float32Array, IntArray

Genes = tuple[int, ...]
"""One canonical row: hashable, equal exactly when the networks are equal."""

Value = int | float


@dataclass(frozen=True)
class Gene:
    """One decision: a name and its choices, smallest network first."""

    name: str
    choices: tuple[Value, ...]


@dataclass(frozen=True)
class Slot:
    """A place for a block.

    Attributes:
        genes: columns of the genes that the block depends on.
        build: makes the block from those genes' values, in that order.
        depth: (column, threshold): the slot is used when that gene's value is above the threshold;
            None when it always is.
        stage: number of the stage that it belongs to, from 1; 0 for stem and head.
    """

    genes: tuple[int, ...]
    build: Callable[..., Block]
    depth: tuple[int, int] | None = None
    stage: int = 0


@dataclass(frozen=True)
class SearchSpace:
    """Genes and slots; made by `hybrid_nas.spaces.load_space`.

    Attributes:
        name: id of the space, also the file's name.
        family: ``mbconv`` or ``resnet``: which supernet and which JSON format belong to it.
        genes: the decisions, in column order; ``resolution`` is the first.
        slots: places for blocks in execution order.
        input_shape: (height, width, channels) of the data; ``resolution`` scales its longer side.
        classes: number of outputs.
        shares_weights: dimensions that one supernet covers. A dimension that is not among them
            needs a supernet per choice.
        fingerprint: digest of everything above.
    """

    name: str
    family: str
    genes: tuple[Gene, ...]
    slots: tuple[Slot, ...]
    input_shape: tuple[int, int, int]
    classes: int
    shares_weights: frozenset[str]
    fingerprint: str

    @cached_property
    def sizes(self) -> IntArray:
        """Number of choices of each gene, shape (genes,)."""
        return np.array([len(gene.choices) for gene in self.genes])

    @cached_property
    def column(self) -> dict[str, int]:
        """Column of each gene by name."""
        return {gene.name: k for k, gene in enumerate(self.genes)}

    @cached_property
    def _slot_uses_gene(self) -> BoolArray:
        uses = np.zeros((len(self.slots), len(self.genes)), bool)
        for s, slot in enumerate(self.slots):
            uses[s, list(slot.genes)] = True
        return uses

    @cached_property
    def _is_depth(self) -> BoolArray:
        flags = np.zeros(len(self.genes), bool)
        flags[[slot.depth[0] for slot in self.slots if slot.depth]] = True
        return flags

    def slots_used(self, rows: IntArray) -> BoolArray:
        """Which slots each row fills: bool (n, slots)."""
        used = np.ones((len(rows), len(self.slots)), bool)
        for s, slot in enumerate(self.slots):
            if slot.depth:
                column, threshold = slot.depth
                used[:, s] = (np.array(self.genes[column].choices) > threshold)[rows[:, column]]
        return used

    def canonical(self, rows: IntArray) -> IntArray:
        """`rows` with every inactive gene set to -1."""
        active = (self.slots_used(rows) @ self._slot_uses_gene) | self._is_depth
        return np.where(active, rows, -1)

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """`n` canonical rows, every gene uniform over its choices."""
        return self.canonical(rng.integers(0, self.sizes, (n, len(self.genes))))

    def mutate(self, rows: IntArray, rate: float, rng: np.random.Generator) -> IntArray:
        """Redraw each gene with probability `rate`; newly active genes are drawn too."""
        drawn = rng.integers(0, self.sizes, rows.shape)
        return self.canonical(np.where((rng.random(rows.shape) < rate) | (rows < 0), drawn, rows))

    def cross_over(self, a: IntArray, b: IntArray, rng: np.random.Generator) -> IntArray:
        """Uniform crossover of the rows of `a` with those of `b`."""
        mixed = np.where(rng.random(a.shape) < 0.5, a, b)
        drawn = rng.integers(0, self.sizes, a.shape)
        other = np.where(a >= 0, a, np.where(b >= 0, b, drawn))
        return self.canonical(np.where(mixed >= 0, mixed, other))

    def extremes(self) -> IntArray:
        """The smallest and the largest architecture, shape (2, genes)."""
        return self.canonical(np.stack([np.zeros_like(self.sizes), self.sizes - 1]))

    @cached_property
    def _private(self) -> dict[int, list[tuple[int, int]]]:
        """For each depth gene: (threshold, combinations of own genes) of the slots it governs."""
        shared = self._slot_uses_gene.sum(0) > 1
        table: dict[int, list[tuple[int, int]]] = {}
        for slot in self.slots:
            if slot.depth:
                own = math.prod(int(self.sizes[g]) for g in slot.genes if not shared[g])
                table.setdefault(slot.depth[0], []).append((slot.depth[1], own))
        return table

    def count(self) -> int:
        """Number of different architectures, exactly."""
        governed = {g for slot in self.slots if slot.depth for g in slot.genes} - {
            g for g in range(len(self.genes)) if self._slot_uses_gene[:, g].sum() > 1
        }
        total = 1
        for column, gene in enumerate(self.genes):
            if column in self._private:
                total *= sum(
                    math.prod(own for threshold, own in self._private[column] if depth > threshold)
                    for depth in gene.choices
                )
            elif column not in governed:
                total *= len(gene.choices)
        return total

    def enumerate(self, limit: int = 1_000_000) -> IntArray:
        """All canonical rows of a small space, each once, in lexicographic order.

        Raises:
            InputError: the space has more than `limit` architectures.
        """
        if self.count() > limit:
            raise InputError(
                f"space {self.name} has {self.count():.3g} architectures; enumerate takes at most "
                f"{limit:.3g}: narrow it with fewer choices per gene"
            )
        return np.array(list(self._walk()), dtype=np.int64).reshape(-1, len(self.genes))

    def _walk(self) -> Iterator[Genes]:
        """Canonical rows, by choosing the genes that decide which others are active first."""
        always = [
            g
            for g in range(len(self.genes))
            if self._is_depth[g]
            or any(
                slot.depth is None or self._slot_uses_gene[:, g].sum() > 1
                for slot in self.slots
                if g in slot.genes
            )
        ]
        for choice in itertools.product(*(range(self.sizes[g]) for g in always)):
            row = np.zeros((1, len(self.genes)), dtype=np.int64)
            row[0, always] = choice
            active = self.canonical(row)[0] >= 0
            rest = [g for g in np.flatnonzero(active) if g not in always]
            base = np.where(active, row[0], -1)
            for tail in itertools.product(*(range(self.sizes[g]) for g in rest)):
                base[rest] = tail
                yield tuple(base.tolist())

    def encode(self, rows: IntArray) -> Float32Array:
        """One-hot features for predictors, (n, sum of choices); inactive genes are all zero."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        features = np.zeros((len(rows), int(starts[-1])), np.float32)
        r, g = np.nonzero(rows >= 0)
        features[r, starts[g] + rows[r, g]] = 1
        return features

    # -- blocks and architectures

    def block_codes(self, rows: IntArray) -> IntArray:
        """Number of the block in each slot, (n, slots); -1 where the slot is not used.

        The numbers of one slot run from 0 to the product of its genes' choices, minus one.
        """
        codes = np.zeros((len(rows), len(self.slots)), dtype=np.int64)
        for s, slot in enumerate(self.slots):
            for g in slot.genes:
                codes[:, s] = codes[:, s] * self.sizes[g] + rows[:, g]
        return np.where(self.slots_used(rows), codes, -1)

    def block(self, slot: int, code: int) -> Block:
        """The block with that number in that slot; inverse of `block_codes`."""
        values: list[Value] = []
        for g in reversed(self.slots[slot].genes):
            code, choice = divmod(code, int(self.sizes[g]))
            values.append(self.genes[g].choices[choice])
        return self.slots[slot].build(*reversed(values))

    def architecture(self, genes: Sequence[int]) -> Architecture:
        """The network that a row of genes stands for."""
        row = self.canonical(np.array([genes], dtype=np.int64))
        blocks = tuple(
            self.block(s, int(code)) for s, code in enumerate(self.block_codes(row)[0]) if code >= 0
        )
        first = blocks[0]
        return Architecture((first.h, first.w, first.cin), blocks, self.name)

    def to_dict(self, genes: Sequence[int]) -> dict[str, Value]:
        """Active genes by name, with their values."""
        row = self.canonical(np.array([genes], dtype=np.int64))[0]
        return {
            gene.name: gene.choices[choice]
            for gene, choice in zip(self.genes, row.tolist(), strict=True)
            if choice >= 0
        }

    def from_dict(self, values: Mapping[str, Value]) -> Genes:
        """Canonical genes from values by name; inactive ones may be given and are dropped.

        Raises:
            InputError: an unknown gene, a value that is no choice, or an active gene is missing.
        """
        unknown = [name for name in values if name not in self.column]
        if unknown:
            raise InputError(
                f"space {self.name} has no gene {unknown[0]!r}; its genes are "
                f"{', '.join(gene.name for gene in self.genes)}"
            )
        row = np.full((1, len(self.genes)), -1, dtype=np.int64)
        for name, value in values.items():
            gene = self.genes[self.column[name]]
            if value not in gene.choices:
                raise InputError(
                    f"gene {name} of space {self.name} must be one of "
                    f"{', '.join(map(str, gene.choices))} (got {value!r})"
                )
            row[0, self.column[name]] = gene.choices.index(value)
        for column in np.flatnonzero(self._is_depth):
            if row[0, column] < 0:
                raise InputError(f"gene {self.genes[column].name} of space {self.name} is missing")
        active = (self.slots_used(row) @ self._slot_uses_gene)[0]
        missing = np.flatnonzero(active & (row[0] < 0))
        if len(missing):
            raise InputError(f"gene {self.genes[missing[0]].name} of space {self.name} is missing")
        return tuple(self.canonical(row)[0].tolist())
