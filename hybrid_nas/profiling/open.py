"""From ``--port`` and ``--board`` to a device, and what is known of it before it is asked."""

from __future__ import annotations

from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import board_ids
from hybrid_nas.profiling.backend import Backend
from hybrid_nas.profiling.pool import Admits
from hybrid_nas.profiling.reference import unsupported
from hybrid_nas.spaces.opspec import OpSpec

HOST = "host"
EMULATED = "emulated-"


def open_backend(port: str | None, board: str | None) -> Backend:
    """The device behind the flags; a context manager.

    Args:
        port: a serial port or ``socket://HOST:PORT`` with a board that runs the firmware. Which
            board it is, the board says.
        board: ``host``, or an emulated board. With `port`: what the board must say that it is.

    Raises:
        InputError: neither is given, there is no such device, or another board answers.
        DeviceLostError: nothing answers.
    """
    if port is not None:
        return _connected(port, board)
    if board is None:
        raise InputError(
            "which device? give --port DEV for a board on a serial port, --board host for this "
            "machine, or --board emulated-cortex-m7 (or -m4, -m33, -m3, -m0)"
        )
    name = board.strip().lower()
    if name == HOST:
        from hybrid_nas.profiling.host import HostBackend

        return HostBackend()
    if name.startswith(EMULATED):
        from hybrid_nas.profiling.emulator import EmulatedBoard

        return EmulatedBoard(name)
    if name in board_ids():
        raise InputError(
            f"board {name} is a real one: connect it with the profiling firmware on it and give "
            "its port, for example --port /dev/ttyACM0"
        )
    raise InputError(
        f"no board {board!r} to measure on: give host, emulated-cortex-m7 (or -m4, -m33, -m3, "
        "-m0), or --port DEV for a board on a serial port"
    )


def _connected(port: str, board: str | None) -> Backend:
    from hybrid_nas.profiling.board import open_board

    backend = open_board(port)
    found = backend.identity.board
    if board is not None and board.strip().lower() != found:
        backend.close()
        raise InputError(
            f"--board {board}, but the board on {port} says that it is {found}: leave out --board, "
            "or connect the other board"
        )
    return backend


def admits_of(backend: Backend) -> Admits:
    """What a device is known to be able to run, without asking it.

    A board's ``HELLO`` says how much room it has for tensors and weights (`docs/protocol.md`);
    the host takes everything.
    """
    hello: Any = getattr(backend, "hello", None)
    if hello is None:
        return lambda op: True

    def admits(op: OpSpec) -> bool:
        operands = op.in_bytes * (2 if op.op == "add" else 1) + op.out_bytes
        return (
            unsupported(op) is None
            and operands <= hello.arena_bytes
            and op.weights <= hello.weight_bytes
        )

    return admits
