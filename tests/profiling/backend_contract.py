"""What every backend owes its callers. Test modules of backends inherit `BackendContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import isfinite
from typing import get_args

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import UNITS, LatencyKind
from hybrid_nas.profiling.backend import Backend, Refused, Timed
from hybrid_nas.spaces.opspec import OpSpec

SMALL_OPS = (
    OpSpec("conv", 6, 6, 8, 16, activation="relu6"),
    OpSpec("conv", 8, 8, 3, 8, 3, 2, 1, activation="relu6"),
    OpSpec("dwconv", 6, 6, 8, 8, 5, 1, 2, activation="relu6"),
    OpSpec("dense", 1, 1, 32, 10),
    OpSpec("add", 6, 6, 8, 8, bias=False, residual=1),
    OpSpec("avgpool", 6, 6, 8, 8, 0, bias=False),
)
SMALL_NETWORK = (
    OpSpec("conv", 8, 8, 3, 8, 3, 2, 1, activation="relu6"),
    OpSpec("conv", 4, 4, 8, 16, activation="relu6"),
    OpSpec("dwconv", 4, 4, 16, 16, 3, 1, 1, activation="relu6"),
    OpSpec("conv", 4, 4, 16, 8),
    OpSpec("add", 4, 4, 8, 8, bias=False, residual=4),
    OpSpec("avgpool", 4, 4, 8, 8, 0, bias=False),
    OpSpec("dense", 1, 1, 8, 10),
)


class BackendContract(ABC):
    """Inherit, and define the fixture ``backend`` (an open device for each test).

    Attributes:
        supported: operators that the device runs.
        unsupported: operators that it cannot run; may be empty.
        network: a network that it runs.
    """

    supported: tuple[OpSpec, ...] = SMALL_OPS
    unsupported: tuple[OpSpec, ...] = ()
    network: tuple[OpSpec, ...] = SMALL_NETWORK

    @pytest.fixture
    @abstractmethod
    def backend(self) -> Iterator[Backend]:
        """The inheriting class makes its device here."""

    def test_every_operator_is_answered_once(self, backend: Backend) -> None:
        asked = [*self.unsupported, *self.supported]
        answers = list(backend.measure(asked))
        assert sorted(map(str, (a.op for a in answers))) == sorted(map(str, asked))

    def test_supported_operators_are_timed(self, backend: Backend) -> None:
        for answer in backend.measure(self.supported):
            assert isinstance(answer, Timed), answer
            row = answer.measurement
            assert isfinite(row.value) and row.value > 0
            assert isfinite(row.spread) and row.spread >= 0
            assert row.count >= 1

    def test_unsupported_operators_are_refused_with_a_reason(self, backend: Backend) -> None:
        answers = list(backend.measure(self.unsupported))
        assert all(isinstance(answer, Refused) and answer.reason for answer in answers)
        # and the device is as good as before
        (after,) = backend.measure(self.supported[:1])
        assert isinstance(after, Timed)

    def test_nothing_asked_is_nothing_answered(self, backend: Backend) -> None:
        assert list(backend.measure([])) == []

    def test_answers_come_one_by_one(self, backend: Backend) -> None:
        answers = iter(backend.measure(self.supported))
        assert next(answers).op in self.supported  # and whoever stops here may close

    def test_identity_is_complete_and_stable(self, backend: Backend) -> None:
        before = backend.identity
        assert before.board and before.board == before.board.lower()
        assert before.core and before.runtime and before.runtime_version and before.kernels
        assert before.clock_hz > 0 and before.unit in UNITS
        assert backend.kind in get_args(LatencyKind) and backend.source
        list(backend.measure(self.supported[:1]))
        assert backend.identity == before

    def test_a_network_is_timed(self, backend: Backend) -> None:
        whole = backend.measure_network(self.network)
        assert isfinite(whole.value) and whole.value > 0 and whole.count >= 1

    def test_a_network_that_cannot_run_is_an_input_error(self, backend: Backend) -> None:
        if not self.unsupported:
            pytest.skip("this device runs everything")
        with pytest.raises(InputError):
            backend.measure_network([*self.network, self.unsupported[0]])

    def test_it_closes_twice(self, backend: Backend) -> None:
        with backend as entered:
            assert entered is backend
        backend.close()
