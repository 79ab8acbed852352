"""What a table belongs to: the user's flags, filled in by what the log says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import Board, board_ids, load_board
from hybrid_nas.hardware.latency_table import Identity
from hybrid_nas.profiling.imports.log import Facts, Unit

_FLAG = "--{}".format


@dataclass(frozen=True)
class Given:
    """The flags; None or empty where not given. `own_board` is what a file says of `board`."""

    board: str = ""
    core: str = ""
    clock_hz: int | None = None
    tick_hz: float | None = None
    runtime: str = ""
    runtime_version: str = ""
    kernels: str = ""
    placement: str = ""
    cache: str = ""
    own_board: Board | None = None


def clock_of(given: Given, facts: Facts) -> int | None:
    """The core's clock from flag and log.

    Raises:
        InputError: they contradict each other.
    """
    if given.clock_hz and facts.clock_hz and given.clock_hz != facts.clock_hz:
        raise InputError(
            f"--clock-hz {given.clock_hz} contradicts the log, which says {facts.clock_hz}: leave "
            "the flag out, or import the right log"
        )
    return given.clock_hz or facts.clock_hz


def identity_of(given: Given, facts: Facts, unit: Unit, name: str) -> Identity:
    """The identity of the table to write.

    Raises:
        InputError: a flag contradicts the log, or something that an identity needs is in neither;
            the message lists every missing flag at once.
    """
    board = _board(given.board, facts.boards)
    known = given.own_board
    if known is None and board in board_ids():
        known = load_board(board)
    stated = facts.core or (known.core if known else "")
    core = _agree("core", given.core.strip().lower(), stated.lower())
    clock = clock_of(given, facts)
    runtime = _agree("runtime", given.runtime.lower(), facts.runtime)
    version = _version(given.runtime_version, facts.runtime_version)
    needed = {
        "board": board,
        "core": core,
        "clock-hz": clock,
        "runtime": runtime,
        "runtime-version": version,
    }
    missing = [_FLAG(key) for key, value in needed.items() if not value]
    if missing or clock is None:
        raise InputError(
            f"{name} does not say everything that a table belongs to: give {', '.join(missing)}"
            + _candidates(board, facts.boards)
        )
    return Identity(
        board=board,
        core=core,
        clock_hz=clock,
        runtime=runtime,
        runtime_version=version,
        kernels=_agree("kernels", given.kernels, facts.kernels) or "unknown",
        placement=_agree("placement", given.placement, facts.placement) or "unknown",
        cache=_cache(given.cache, facts.cache) or "unknown",
        unit=unit,
    )


def _board(flag: str, named: tuple[str, ...]) -> str:
    """The board: the flag, or the one part that the log names."""
    flag = flag.strip().lower()
    if not flag:
        return named[0] if len(named) == 1 else ""
    if not named or _is_one_of(flag, named):
        return flag
    # A name of the user's own (a module, a product) cannot be compared with a part.
    part = re.search(r"(stm32)?[a-z]{1,2}\d[0-9a-z]\d", flag)
    if part is None and flag not in board_ids() and flag != "host" and "host" not in named:
        return flag
    raise InputError(
        f"--board {flag} contradicts the log, which was measured on {' or '.join(named)}"
    )


def _is_one_of(flag: str, named: tuple[str, ...]) -> bool:
    bare = [name.removeprefix("stm32") for name in named]
    return flag in named or any(name in flag for name in bare)


def _candidates(board: str, named: tuple[str, ...]) -> str:
    return "" if board or not named else f" (the log says that the board is {' or '.join(named)})"


def _agree(what: str, flag: str, stated: str) -> str:
    """What is stated must be in the flag, which may say more; but cortex-m33 is no cortex-m3."""
    end = r"(?!\d)" if what == "core" else ""
    if flag and stated and not re.search(re.escape(stated) + end, flag):
        raise InputError(
            f"{_FLAG(what)} {flag} contradicts the log or the board, which is {stated}"
        )
    return flag or stated


def _cache(flag: str, stated: str) -> str:
    """The flag says more (warm or cold) than a log that only lists which caches are on."""
    if flag in ("off", "none") and stated:
        raise InputError(f"--cache {flag} contradicts the log, which lists {stated}")
    return flag or stated


def _version(flag: str, stated: str) -> str:
    """The version; a flag may be shorter or longer than what the log says, as hashes are."""
    if not flag or not stated:
        return flag or stated
    bare = stated.rsplit("-", 1)[-1]
    if any(one.startswith(other) for one, other in ((flag, stated), (stated, flag), (flag, bare))):
        return stated
    if bare.startswith(flag):
        return stated
    raise InputError(f"--runtime-version {flag} contradicts the log, which says {stated}")
