"""Boards that run the profiling firmware, real or emulated, as a `Backend`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median, stdev
from typing import Any

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.hardware.latency_table import Identity, LatencyKind, Measurement
from hybrid_nas.profiling import reference
from hybrid_nas.profiling.backend import Backend, Refused, Timed
from hybrid_nas.profiling.calibration import board_scale, emulated_scale
from hybrid_nas.profiling.layout import network_places
from hybrid_nas.profiling.link import Link, PortLink, open_port
from hybrid_nas.profiling.network_run import failure_words, run_network
from hybrid_nas.profiling.protocol import MAX_OPS, MAX_REPS, Failure, Hello, Result, Run
from hybrid_nas.profiling.session import Connect, NoAnswerError, Patience, Session
from hybrid_nas.spaces.opspec import OpSpec

BOARD_REPS = 5
EMULATED_REPS = 1
"""Runs of an operator; a count of instructions is the same every time."""

_CLOCK_CHECK_S = 0.4
_FIRST_INSTRUCTIONS_PER_WORK = 16.0


class BoardBackend(Backend):
    """A board on the other end of a link.

    Args:
        connect: opens the link; called again when the board no longer answers.
        emulated: the timer counts an emulator's instructions.
        reps: runs of each operator, 1 to 8; the median counts, the spread is their standard
            deviation.
        patience: time-outs and retries.
        clock_check_s: how long a real board's timer is compared with this machine's; 0: not.
        expected_crc: CRC-32 of an operator's right output.
        expected_network_crc: of a network's, on a board with so many bytes of weights.

    Attributes:
        hello: what the board said of itself.
        warnings: what looked wrong but does not keep it from measuring, in words.

    Raises:
        DeviceLostError: there is no link, or nothing answers on it.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        emulated: bool = False,
        reps: int | None = None,
        patience: Patience | None = None,
        clock_check_s: float = _CLOCK_CHECK_S,
        expected_crc: Callable[[OpSpec], int] = reference.output_crc,
        expected_network_crc: Callable[[Sequence[OpSpec], int], int] = reference.network_crc,
    ) -> None:
        self._reps = reps if reps is not None else EMULATED_REPS if emulated else BOARD_REPS
        if not 1 <= self._reps <= MAX_REPS:
            raise InputError(f"a board runs an operator 1 to {MAX_REPS} times, not {self._reps}")
        self._patience = patience or Patience()
        self._expected_crc = expected_crc
        self._expected_network_crc = expected_network_crc
        self._session = Session(connect, self._patience)
        try:
            self._scale = (
                emulated_scale(self._session)
                if emulated
                else board_scale(self._session, clock_check_s)
            )
        except BaseException:
            self.close()
            raise
        self.hello: Hello = self._session.hello
        self.warnings = [self._scale.warning] if self._scale.warning else []
        self.kind: LatencyKind = "emulated" if emulated else "measured"
        self.identity = board_identity(self.hello, "instructions" if emulated else "cycles")
        how = "instructions counted by QEMU" if emulated else f"timer {self.hello.timer}"
        runs = f"median of {self._reps} runs" if self._reps > 1 else "one run"
        self.source = f"profiling firmware {self.hello.kernels} ({how}, {runs})"
        self._pace = _Pace(_FIRST_INSTRUCTIONS_PER_WORK * self._scale.ticks_per_instruction)

    def measure(self, ops: Sequence[OpSpec]) -> Iterator[Timed | Refused]:
        """Time single operators in the order given; see `Backend.measure`.

        What the protocol does not have, and what cannot fit by the sizes of ``HELLO``, is refused
        without asking the board. An operator that the board computes wrongly, or that stops it
        every time, is refused too.
        """
        for op in ops:
            yield self._measure_one(op)

    def measure_network(self, ops: Sequence[OpSpec]) -> Measurement:
        """Time a whole network; see `Backend.measure_network`.

        Raises:
            HybridNasError: also where the board computes a wrong output.
        """
        if len(ops) > MAX_OPS:
            raise InputError(f"boards take networks of {MAX_OPS} operators at most, not {len(ops)}")
        places = network_places(ops, self.hello.arena_bytes)
        expected = self._expected_network_crc(ops, self.hello.weight_bytes)
        result = run_network(self._session, places, self._reps, self._predicted_s(ops))
        wrong = _wrong_result(result, expected)
        if wrong:
            raise HybridNasError(f"{self.hello.board}: a network of {len(ops)} operators: {wrong}")
        return self._measurement(result)

    def close(self) -> None:
        """Let the link go; may be called twice."""
        self._session.close()

    def _measure_one(self, op: OpSpec) -> Timed | Refused:
        reason = self._refused_unasked(op)
        if reason is not None:
            return Refused(op, reason)
        expected: list[int] = []  # computed here while the board computes it there
        try:
            answer = self._session.ask(
                Run(op, self._reps),
                Result,
                self._predicted_s([op]),
                meanwhile=lambda: expected.append(self._expected_crc(op)),
            ).answer
        except NoAnswerError as error:
            return Refused(op, f"the board stops while it runs this: {error}")
        if isinstance(answer, Failure):
            return Refused(op, failure_words(answer))
        wrong = _wrong_result(answer, expected[0])
        if wrong:
            return Refused(op, wrong)
        self._pace.learn(op, max(answer.ticks))
        return Timed(op, self._measurement(answer))

    def _refused_unasked(self, op: OpSpec) -> str | None:
        reason = reference.unsupported(op)
        if reason is not None:
            return f"boards cannot run {reason}"
        tensors = op.in_bytes * (2 if op.op == "add" else 1) + op.out_bytes
        for needed, there, memory in (
            (tensors, self.hello.arena_bytes, "arena"),
            (op.weights, self.hello.weight_bytes, "weights"),
        ):
            if needed > there:
                shortage = Failure(0, "NOMEM", f"{needed} {there} {memory}")
                return failure_words(shortage)
        return None

    def _predicted_s(self, ops: Sequence[OpSpec]) -> float:
        ticks = sum(map(self._pace.ticks, ops)) * (self._reps + 1)
        return ticks * self._scale.seconds

    def _measurement(self, result: Result) -> Measurement:
        values = [ticks * self._scale.units for ticks in result.ticks]
        if self.kind == "emulated":
            values = [float(round(value)) for value in values]  # there are no parts of instructions
        spread = stdev(values) if len(values) > 1 else 0.0
        return Measurement(median(values), spread, len(values))


def open_board(address: str, **settings: Any) -> BoardBackend:
    """The board at a serial port's path, or at ``socket://HOST:PORT``.

    Args:
        address: where it is.
        settings: of `BoardBackend`.

    Raises:
        InputError: the port cannot be opened.
        DeviceLostError: nothing answers there.
    """
    first: list[Link] = [open_port(address)]
    return BoardBackend(lambda: first.pop() if first else PortLink(address), **settings)


def board_identity(hello: Hello, unit: str) -> Identity:
    """What the rows of a board belong to.

    ``KERNELS`` is NAME-VERSION-BUILD, and names may have hyphens. The name is the runtime; the
    whole word stays in the identity, because another build is another set of kernels.
    """
    runtime, *rest = hello.kernels.rsplit("-", 2)
    version = rest[0] if len(rest) == 2 else "unknown"
    return Identity(
        board=hello.board,
        core=hello.core,
        clock_hz=hello.clock_hz,
        runtime=runtime,
        runtime_version=version,
        kernels=hello.kernels,
        placement=hello.placement,
        cache=hello.cache,
        unit=unit,
    )


class _Pace:
    """Predicts how long operators take, from the slowest so far: for time-outs, not for tables."""

    def __init__(self, ticks_per_work: float) -> None:
        self._first = ticks_per_work
        self._seen = 0.0

    def ticks(self, op: OpSpec) -> float:
        return _work(op) * (self._seen or self._first)

    def learn(self, op: OpSpec, ticks: int) -> None:
        self._seen = max(self._seen, ticks / _work(op))


def _work(op: OpSpec) -> int:
    """Multiply-accumulates or window pixels, bytes moved, and a constant for the call."""
    window = op.h * op.w if op.kernel == 0 else op.kernel**2
    return max(op.macs, window * op.out_elements) + op.in_bytes + op.out_bytes + 1000


def _wrong_result(result: Result, expected: int) -> str | None:
    if result.crc == expected:
        return None
    return f"wrong result: the output has CRC-32 {result.crc:08X}, it must have {expected:08X}"
