"""What there is to measure: the operators of a search space, and its networks that fit a board."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np

from hybrid_nas.hardware.boards import DEFAULT_BOARD, board_ids, load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.hardware.op_arrays import OP_CLASSES
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.typing import IntArray

Admits = Callable[[OpSpec], bool]
"""Whether a device can run an operator, as far as is known before it is asked."""

_SAMPLES = 1024
_STAND_INS = ("emulated-", "host")
_RUNTIME = "tinyengine"
"""Whose memory model says which networks are likely; any would do, it only sets the scale."""
_ROUTER_SIGNALS = (8, 32)
_ROUTER_OUTPUTS = (2, 8, 16)
_CLASSES = (10, 100)


def op_class(op: OpSpec) -> str:
    """The name of the operator's class among `OP_CLASSES`.

    >>> op_class(OpSpec("conv", 8, 8, 16, 16)), op_class(OpSpec("conv", 8, 8, 16, 16, kernel=3))
    ('pointwise', 'conv')
    """
    return "pointwise" if op.op == "conv" and op.kernel == 1 else op.op


def op_order(op: OpSpec) -> tuple[object, ...]:
    """A key that sorts operators by class, then size: the order of a table's rows."""
    window = (op.kernel, op.stride, op.padding)
    rest = (op.activation, op.bias, op.dtype, op.residual)
    return (OP_CLASSES.index(op_class(op)), *window, op.h, op.w, op.cin, op.cout, *rest)


def describe_op(op: OpSpec) -> str:
    """An operator in a few words.

    >>> describe_op(OpSpec("dwconv", 20, 20, 48, 48, kernel=5, stride=2, padding=2))
    'dwconv 5x5/2 20x20x48'
    """
    window = f" {op.kernel}x{op.kernel}" + (f"/{op.stride}" if op.stride > 1 else "")
    shown = window if op.op in ("conv", "dwconv") or op.kernel > 1 else ""
    channels = f" to {op.cout}" if op.cout != op.cin else ""
    return f"{op.op}{shown} {op.h}x{op.w}x{op.cin}{channels}"


def distinct(ops: Iterable[OpSpec]) -> list[OpSpec]:
    """The distinct shapes of `ops`, in order of first appearance."""
    return list(dict.fromkeys(op.shape for op in ops))


def board_limits(board: str) -> Limits:
    """Memory that networks on that board must fit.

    Emulated boards and the host stand in for microcontrollers: they have far more memory than the
    networks of interest take, so no more than the default board's counts; so too for unknown ones.
    """
    default = Limits.of_board(load_board(DEFAULT_BOARD))
    if board not in board_ids():
        return default
    own = Limits.of_board(load_board(board))
    if not board.startswith(_STAND_INS):
        return own
    return Limits(
        min(own.sram_bytes, default.sram_bytes), min(own.flash_bytes, default.flash_bytes)
    )


def op_pool(space: SearchSpace, limits: Limits, admits: Admits) -> list[OpSpec]:
    """Every distinct operator of the space, and of routers on its networks, that may ever run.

    Left out are those that no network within `limits` can have (operands alone exceed the SRAM, or
    weights the flash), and those that the device does not admit. In the order of `op_order`.
    """
    ops: set[OpSpec] = set()
    for number, slot in enumerate(space.slots):
        for code in range(math.prod(int(space.sizes[gene]) for gene in slot.genes)):
            ops.update(space.block(number, code).lower())
    ops.update(_small_dense(ops))
    fitting = {op.shape for op in ops if _within(op, limits)}
    return sorted(filter(admits, fitting), key=op_order)


def _within(op: OpSpec, limits: Limits) -> bool:
    # A runtime may write a depthwise convolution or an addition over its input.
    return (
        max(op.in_bytes, op.out_bytes) <= limits.sram_bytes
        and op.weights * op.itemsize <= limits.flash_bytes
    )


def _small_dense(ops: Iterable[OpSpec]) -> list[OpSpec]:
    """A router's layers (on features, logits or statistics), and classifiers of fewer classes."""
    features = {op.cin for op in ops if op.op == "dense"}
    widths = sorted({*_ROUTER_SIGNALS, *features})
    return [OpSpec("dense", 1, 1, cin, n) for cin, n in product(widths, _ROUTER_OUTPUTS)] + [
        OpSpec("dense", 1, 1, cin, n) for cin, n in product(sorted(features), _CLASSES)
    ]


def fitting_networks(
    space: SearchSpace, limits: Limits, seed: int, purpose: int = 0
) -> tuple[IntArray, IntArray]:
    """Random networks of the space within `limits`, in random order, and their MACs.

    Different purposes of one seed get different networks.

    Returns:
        Distinct rows (n, genes) and multiply-accumulates (n,); the smallest network of the space
        where none of the random ones fits.
    """
    model = CostModel(space, load_board(DEFAULT_BOARD), load_runtime(_RUNTIME))
    rng = np.random.default_rng([seed, purpose])
    smallest = space.extremes()[:1]
    rows = np.unique(np.concatenate([smallest, space.sample(_SAMPLES, rng)]), axis=0)
    rows = rows[rng.permutation(len(rows))]
    memory = Limits(limits.sram_bytes, limits.flash_bytes)
    rows = rows[memory.fits(model.evaluate(rows))]
    if not len(rows):
        rows = smallest
    return rows, model.evaluate(rows).macs
