"""Timing operators and networks on this computer, with onnxruntime and one thread.

Sessions of one operator do not add up to a network: calling a session takes longer than a small
operator, and float32 kernels want another layout than a model's inputs have. What adds up is what
onnxruntime's profiler says of the kernels alone. It counts whole microseconds, so small operators
are run as several copies, and it takes time itself, which is measured and subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.hardware.latency_table import Identity, LatencyKind, Measurement
from hybrid_nas.profiling.backend import Backend, Refused, Timed
from hybrid_nas.profiling.host_graph import network_model, ops_model
from hybrid_nas.profiling.host_machine import clock_hz, core_name
from hybrid_nas.profiling.host_session import PROVIDER, HostSession
from hybrid_nas.profiling.robust import Rounds, Samples, best_round, take_turns
from hybrid_nas.spaces.opspec import Dtype, OpSpec

BOARD, RUNTIME = "host", "onnxruntime"
OP_ROUNDS = Rounds()
NETWORK_ROUNDS = Rounds(rounds=12, samples=20, pause_s=0.15)
"""Networks come one at a time: a pause instead of neighbours makes rounds see other moments."""
_TOGETHER = 32
"""Operators that take turns: enough for rounds to be apart in time, few enough to see progress."""
_LEAST_US = 60.0
_MOST_COPIES = 8
"""An operator is copied until a run takes about so long, but no more often than that."""
_TINY = {dtype: OpSpec("conv", 1, 1, 8, 8, dtype=dtype) for dtype in ("int8", "float32")}
_SMALLEST_US = 0.05
"""What a row says at least: subtraction must not leave a table with a time of 0."""


class HostBackend(Backend):
    """This computer.

    Args:
        rounds: how operators are timed.
        network_rounds: how whole networks are timed.
    """

    kind: LatencyKind = "measured"
    default_budget = 500
    """A PC's vector kernels jump with the number of channels: 120 operators leave 12 % of error."""

    def __init__(
        self,
        rounds: Rounds = OP_ROUNDS,
        network_rounds: Rounds = NETWORK_ROUNDS,
    ) -> None:
        self.identity = Identity(
            board=BOARD,
            core=core_name(),
            clock_hz=clock_hz(),
            runtime=RUNTIME,
            runtime_version=onnxruntime.__version__,
            kernels=f"{PROVIDER}, 1 thread",
            placement="ram",
            cache="warm",
            unit="us",
        )
        self.source = (
            f"onnxruntime's profiler, kernels only; best of {rounds.rounds} rounds of "
            f"{rounds.samples} runs, samples with a thread switch dropped"
        )
        self._rounds = rounds
        self._network_rounds = network_rounds
        self._profiler_us: dict[Dtype, float] = {}
        self._folder = TemporaryDirectory(prefix="hybrid-nas-host-")
        self._profile_numbers = count()

    def measure(self, ops: Sequence[OpSpec]) -> Iterator[Timed | Refused]:
        """Time operators in groups that take turns; a group's answers come together."""
        for dtype in {op.dtype for op in ops} - self._profiler_us.keys():
            self._profiler_us[dtype] = self._profiler_cost(dtype)
        for start in range(0, len(ops), _TOGETHER):
            yield from self._measure_group(ops[start : start + _TOGETHER])

    def measure_network(self, ops: Sequence[OpSpec]) -> Measurement:
        """Time a whole network from call to return, in microseconds, without the profiler."""
        model = network_model(ops)
        try:
            session = HostSession(model)
        except HybridNasError as error:
            raise InputError(f"the network cannot be run here: {error}") from error
        rounds = self._network_rounds
        return best_round(take_turns([session.run], rounds)[0], rounds.percentile)

    def close(self) -> None:
        """Remove the profiles that are left."""
        self._folder.cleanup()

    # -- operators

    def _measure_group(self, ops: Sequence[OpSpec]) -> Iterator[Timed | Refused]:
        sessions: list[tuple[OpSpec, int, HostSession]] = []
        for op in ops:
            try:
                copies = _copies(op)
                sessions.append((op, copies, self._profiled(op, copies)))
            except HybridNasError as error:
                yield Refused(op, str(error))
        taken = take_turns([session.run for *_, session in sessions], self._rounds)
        for (op, copies, session), samples in zip(sessions, taken, strict=True):
            yield Timed(op, self._kernel_time(op.dtype, copies, session, samples))

    def _kernel_time(
        self, dtype: Dtype, copies: int, session: HostSession, samples: Samples
    ) -> Measurement:
        found, nodes = self._profile(session, samples)
        us = (found.value - nodes * self._profiler_us[dtype]) / copies
        value, spread = max(us, _SMALLEST_US), found.spread / copies
        return Measurement(round(value, 3), round(spread, 3), found.count)

    def _profile(self, session: HostSession, samples: Samples) -> tuple[Measurement, int]:
        """Kernel time of a run by the same protocol, and how many kernels a run has."""
        profile = session.end_profile()
        rounds = self._rounds
        by_round = profile.us.reshape(rounds.rounds, rounds.warm_up + rounds.samples)
        kernels = Samples(by_round[:, rounds.warm_up :], samples.quiet)
        return best_round(kernels, rounds.percentile), profile.nodes

    def _profiled(self, op: OpSpec, copies: int) -> HostSession:
        # A name of its own for each: onnxruntime would tell them apart by the second only.
        prefix = Path(self._folder.name) / f"profile-{next(self._profile_numbers)}"
        return HostSession(ops_model([op] * copies), prefix)

    def _profiler_cost(self, dtype: Dtype) -> float:
        """Microseconds of the profiler's own in what it says of a kernel.

        A kernel that has nearly nothing to do, once by the profiler and once as what further copies
        of it add to a session that is not profiled.
        """
        op, copies = _TINY[dtype], _MOST_COPIES
        profiled = self._profiled(op, copies)
        one, more = (HostSession(ops_model([op] * n)) for n in (1, 1 + copies))
        taken = take_turns([profiled.run, one.run, more.run], self._rounds)
        said, nodes = self._profile(profiled, taken[0])
        alone, together = (best_round(s, self._rounds.percentile).value for s in taken[1:])
        return (said.value - (together - alone)) / nodes


def _copies(op: OpSpec) -> int:
    """How many copies of an operator are run together."""
    session = HostSession(ops_model([op]))
    alone = take_turns([session.run], Rounds(rounds=1, samples=5))[0]
    return int(np.clip(np.ceil(_LEAST_US / alone.us.min()), 1, _MOST_COPIES))
