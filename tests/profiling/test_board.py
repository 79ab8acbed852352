"""A board's backend against the fake board, whose every row is known."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.hardware.latency_table import Identity, Measurement
from hybrid_nas.profiling.backend import Backend, DeviceLostError, Refused, Timed
from hybrid_nas.profiling.board import BoardBackend, board_identity, open_board
from hybrid_nas.profiling.protocol import Hello
from hybrid_nas.profiling.session import Patience
from hybrid_nas.spaces.opspec import OpSpec
from tests.profiling.backend_contract import BackendContract
from tests.profiling.fake_board import (
    FakeBoard,
    Faults,
    Profile,
    expected_crc,
    expected_network_crc,
    op_instructions,
    profile,
    words_of,
)

QUICK = Patience(hello_s=0.02, floor_s=0.02, factor=0.0, garbled_s=0.005, reopen_s=0.05)
CONV = OpSpec("conv", 12, 12, 8, 16, kernel=3, padding=1, activation="relu6")
OPS = [CONV, OpSpec("dense", 1, 1, 64, 10), OpSpec("add", 6, 6, 8, 8, residual=2)]
NETWORK = [OpSpec("conv", 12, 12, 8, 8), OpSpec("conv", 12, 12, 8, 8), OPS[2]]


def connect(port: str, **settings: Any) -> BoardBackend:
    defaults: dict[str, Any] = {
        "emulated": True,
        "patience": QUICK,
        "expected_crc": expected_crc,
        "expected_network_crc": expected_network_crc,
    }
    return open_board(port, **(defaults | settings))


@contextmanager
def board(
    what: Profile | None = None, faults: Faults | None = None, seed: int = 0, **settings: Any
) -> Iterator[tuple[FakeBoard, BoardBackend]]:
    with FakeBoard(what, faults, seed) as fake, connect(fake.port, **settings) as backend:
        yield fake, backend


def instructions(op: OpSpec) -> float:
    return float(op_instructions(words_of(op)))


class TestFakeBoard(BackendContract):
    unsupported = (OpSpec("maxpool", 6, 6, 8, 8, 3, 2, 1, bias=False),)

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        with board() as (_, backend):
            yield backend


def test_ticks_become_instructions() -> None:
    with board() as (_, backend):
        answers = list(backend.measure(OPS))
    assert answers == [Timed(op, Measurement(instructions(op))) for op in OPS]


def test_the_identity_comes_from_the_board() -> None:
    with board() as (_, backend):
        assert backend.kind == "emulated"
        assert backend.identity == Identity(
            board="fake",
            core="cortex-m7",
            clock_hz=25_000_000,
            runtime="hnas-c",
            runtime_version="1.2",
            kernels="hnas-c-1.2-0123abcd",
            placement="sram",
            cache="none",
            unit="instructions",
        )
        assert "hnas-c-1.2-0123abcd" in backend.source


@pytest.mark.parametrize(
    ("kernels", "runtime", "version"),
    [
        ("hnas-c-1-deadbeef", "hnas-c", "1"),
        ("cmsis-nn-7.0.0-deadbeef", "cmsis-nn", "7.0.0"),
        ("mine-deadbeef", "mine", "unknown"),
    ],
)
def test_the_runtime_is_the_kernels(kernels: str, runtime: str, version: str) -> None:
    hello = Hello("b", "c", "dwt", 1, 1, 1, 1, "p", "none", kernels)
    identity = board_identity(hello, "cycles")
    assert (identity.runtime, identity.runtime_version) == (runtime, version)
    assert identity.kernels == kernels


def test_a_real_boards_rows_are_median_cycles_with_their_deviation() -> None:
    jitter = (0, 7, 3, 50, 1)
    what = profile(timer_hz=1_000_000, clock_hz=216_000_000, jitter=jitter)
    with board(what, emulated=False, reps=5, clock_check_s=0) as (_, backend):
        (answer,) = backend.measure([CONV])
        assert (backend.kind, backend.identity.unit) == ("measured", "cycles")
    ticks = [round(instructions(CONV) * 3.2) + extra for extra in jitter]
    assert isinstance(answer, Timed)
    assert answer.measurement.value == pytest.approx(216 * statistics.median(ticks))
    assert answer.measurement.spread == pytest.approx(216 * statistics.stdev(ticks))
    assert answer.measurement.count == 5


def test_a_timer_that_keeps_time_is_not_warned_of() -> None:
    what = profile(real_time=1.0)
    with board(what, emulated=False, clock_check_s=0.3, patience=Patience()) as (_, backend):
        assert backend.warnings == []


def test_a_timer_that_runs_at_half_speed_is_warned_of() -> None:
    what = profile(real_time=2.0)
    with board(what, emulated=False, clock_check_s=0.1, patience=Patience()) as (_, backend):
        (warning,) = backend.warnings
    assert "25000000 Hz" in warning and "clock" in warning


def test_an_emulator_without_a_fixed_instruction_time_is_refused() -> None:
    with (
        pytest.raises(HybridNasError, match="does not count instructions"),
        board(profile(ticks_per_instruction=2.9)),
    ):
        pass


def test_refusals_are_said_in_words_and_the_rest_is_measured() -> None:
    pool = OpSpec("maxpool", 6, 6, 8, 8, kernel=2, stride=2)
    large = OpSpec("conv", 4, 4, 8, 1000)
    with board() as (_, backend):
        answers = list(backend.measure([pool, large, CONV]))
    assert answers == [
        Refused(pool, "the firmware has no kernel for it (maxpool)"),
        Refused(large, "too large: needs 12000 bytes of work memory, the board has 8192"),
        Timed(CONV, Measurement(instructions(CONV))),
    ]


def test_what_cannot_run_by_hello_is_refused_without_asking() -> None:
    ops = [
        replace(CONV, dtype="float32"),
        OpSpec("mul", 4, 4, 4, 4),
        OpSpec("conv", 200, 200, 16, 1),
        OpSpec("dense", 1, 1, 1000, 1000),
    ]
    with board() as (fake, backend):
        answers = list(backend.measure(ops))
        assert not any(request.startswith("RUN") for request in fake.requests)
    assert all(isinstance(answer, Refused) for answer in answers)
    assert [answer.op for answer in answers] == ops
    reasons = [answer.reason for answer in answers if isinstance(answer, Refused)]
    assert "680000 bytes of arena memory, the board has 327680" in reasons[2]
    assert "1000000 bytes of weights memory, the board has 262144" in reasons[3]


def test_a_wrong_output_is_never_a_row() -> None:
    with board(profile(wrong=frozenset({words_of(CONV)}))) as (_, backend):
        wrong, right = backend.measure(OPS[:2])
    assert isinstance(wrong, Refused) and "wrong result" in wrong.reason
    assert f"{expected_crc(CONV):08X}" in wrong.reason
    assert isinstance(right, Timed)


def test_an_operator_that_stops_the_board_is_refused_and_the_next_measured() -> None:
    with board(profile(deadly=frozenset({words_of(CONV)}))) as (_, backend):
        first, second = backend.measure(OPS[:2])
    assert isinstance(first, Refused) and "stops" in first.reason
    assert isinstance(second, Timed)


def test_answers_come_one_at_a_time() -> None:
    with board() as (fake, backend):
        answers = backend.measure(OPS)
        next(answers)
        assert sum(request.startswith("RUN") for request in fake.requests) == 1


def test_an_unplugged_board_keeps_what_was_measured() -> None:
    many = [replace(CONV, h=h) for h in range(3, 40)]
    with board(faults=Faults(unplug_after=20)) as (_, backend):
        kept = []
        with pytest.raises(DeviceLostError, match="gone"):
            for answer in backend.measure(many):
                kept.append(answer)
    assert len(kept) > 10
    assert kept == [Timed(op, Measurement(instructions(op))) for op in many[: len(kept)]]


def test_a_network_is_the_sum_and_can_be_measured_again() -> None:
    total = Measurement(sum(map(instructions, NETWORK)))
    with board() as (_, backend):
        assert backend.measure_network(NETWORK) == total
        assert backend.measure_network(NETWORK[:2]) == Measurement(
            sum(map(instructions, NETWORK[:2]))
        )
        assert backend.measure_network(NETWORK) == total


def test_a_network_with_an_operator_the_board_has_not() -> None:
    network = [OpSpec("conv", 12, 12, 8, 8), OpSpec("maxpool", 12, 12, 8, 8, kernel=2, stride=2)]
    with (
        board() as (_, backend),
        pytest.raises(InputError, match=r"operator 1 \(maxpool\).*kernel"),
    ):
        backend.measure_network(network)


def test_a_network_too_large_for_the_arena() -> None:
    with board(profile(arena=1000)) as (_, backend), pytest.raises(InputError, match="2304 bytes"):
        backend.measure_network(NETWORK[:1])


def test_a_network_too_long_for_the_protocol() -> None:
    with board() as (_, backend), pytest.raises(InputError, match="256 operators at most"):
        backend.measure_network(NETWORK[:1] * 257)


def test_a_network_computed_wrongly_is_no_measurement() -> None:
    what = profile(wrong=frozenset({words_of(NETWORK[0])}))
    with board(what) as (_, backend), pytest.raises(HybridNasError, match="wrong result"):
        backend.measure_network(NETWORK)


def test_a_network_survives_resets_on_the_way() -> None:
    network = [OpSpec("conv", 12, 12, 8, 8) for _ in range(6)]
    with board(faults=Faults(reset=0.15), seed=5) as (fake, backend):
        for _ in range(5):
            assert backend.measure_network(network).value == sum(map(instructions, network))
        assert fake.injected["reset"] > 0


def test_another_board_on_the_same_port_is_not_measured_on() -> None:
    with FakeBoard() as first, FakeBoard(profile(kernels="hnas-c-1.3-ffff0000")) as second:
        ports = [first.port, second.port]
        from hybrid_nas.profiling.link import PortLink

        with BoardBackend(
            lambda: PortLink(ports.pop(0)), emulated=True, patience=QUICK, expected_crc=expected_crc
        ) as backend:
            list(backend.measure([CONV]))
            first.close()
            with pytest.raises(DeviceLostError, match="another board"):
                list(backend.measure([CONV]))


def test_nobody_on_the_port() -> None:
    with FakeBoard(faults=Faults(drop=1.0)) as fake:
        begun = time.monotonic()
        with pytest.raises(DeviceLostError, match=r"HELLO.*firmware"):
            connect(fake.port)
        assert time.monotonic() - begun >= QUICK.hello_s * QUICK.hello_tries


def test_firmware_of_another_version() -> None:
    with pytest.raises(HybridNasError, match="hnas/7"), board(profile(version="hnas/7")):
        pass


@pytest.mark.parametrize("reps", [0, 9])
def test_repetitions_have_limits(reps: int) -> None:
    with FakeBoard() as fake, pytest.raises(InputError, match="1 to 8"):
        connect(fake.port, reps=reps)


def test_the_time_out_follows_the_size_of_the_operator() -> None:
    """A large operator is waited for far longer than the floor, which fits a small one."""
    patience = replace(QUICK, factor=10.0)
    with board(patience=patience) as (_, backend):
        list(backend.measure([CONV]))
        large = replace(CONV, h=100, w=100, cin=64, cout=64)
        assert backend._predicted_s([large]) > 100 * backend._predicted_s([CONV])
