"""Patches as users ask for them: which grids, where, under which runtimes, and their flash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.patch_regions import Grid, Patches
from hybrid_nas.hardware.runtimes import Runtime
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import block_ops
from hybrid_nas.spaces.opspec import OpSpec

RUNTIMES = ("tinyengine", "hnas-c")
"""Runtimes that run patches: TinyEngine since MCUNetV2, and the C code that is exported here."""

GRIDS = tuple(Grid(*sizes) for sizes in ((2, 2), (3, 3), (4, 4), (2, 1), (4, 1), (8, 1)))
"""What ``auto`` tries: squares, as MCUNetV2 does, and strips, which need no copies."""

MAX_BLOCKS = 8
"""``auto`` tries stages of up to so many blocks."""

CODE_BYTES = 650
"""Code that the exported C code adds for patches, bytes: 490 to 690 were seen on Cortex-M7 with
GCC 12.2 and -O2 (benchmarks/patches.py)."""
STACK_BYTES = 248
"""Stack that patches take beside what the exported C code takes without them, bytes: 684 to 692
were seen with them, at least 452 without, by `hybrid-nas verify` on Cortex-M7 (GCC 12.2, -O2)."""
_STAGE_BYTES, _OP_BYTES, _SPAN_BYTES, _POINTER_BYTES = 28, 32, 4, 4  # of firmware/patches, 32 bits
_WINDOW_BYTES = 44  # hnas_window, which additions need with patches alone


OFF, AUTO = "off", "auto"


def parse_patches(text: str) -> tuple[Grid, ...]:
    """Grids to try: none for ``off``, `GRIDS` for ``auto``, else the one that is named.

    Raises:
        InputError: it is none of these.

    >>> [str(grid) for grid in parse_patches("4x1")]
    ['4x1']
    """
    word = text.strip().lower()
    if word in (OFF, AUTO):
        return GRIDS if word == AUTO else ()
    try:
        return (Grid.parse(word),)
    except InputError as error:
        raise InputError(f"--patches: {error}, auto to choose, or off") from error


def check_runtime(runtime: Runtime) -> None:
    """Refuse runtimes that run no patches.

    Raises:
        InputError: naming those that do.
    """
    if runtime.id not in RUNTIMES:
        raise InputError(
            f"--patches: runtime {runtime.id} runs no patches: choose --runtime "
            f"{' or '.join(RUNTIMES)}, or --patches off"
        )


def block_ends(architecture: Architecture) -> tuple[int, ...]:
    """Numbers of operators after which ``auto`` may end a stage: those of the first blocks."""
    sizes = [len(block_ops(block)) for block in architecture.blocks[:MAX_BLOCKS]]
    return tuple(np.cumsum(sizes).tolist())


def table_bytes(n_ops: int, additions: int, grid: Grid) -> int:
    """Constants in flash that the exported C code adds for a stage (firmware/patches), bytes.

    `additions`: how many of its operators are.
    """
    spans = _SPAN_BYTES * (n_ops + 1) * (grid.rows + grid.columns)
    pointers = _POINTER_BYTES * (n_ops + 1)
    return _STAGE_BYTES + _OP_BYTES * n_ops + pointers + spans + _WINDOW_BYTES * additions


def stage_bytes(ops: Sequence[OpSpec], patches: Patches) -> int:
    """`table_bytes` of a network's stage."""
    additions = sum(op.op == "add" for op in ops[: patches.n_ops])
    return table_bytes(patches.n_ops, additions, patches.grid)


def stack_bytes(runtime: Runtime) -> int:
    """What patches take of the stack; known of the runtime with kernels of our own alone."""
    return STACK_BYTES if runtime.sram.own_kernels else 0
