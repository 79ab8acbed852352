"""A whole network on a board: its list of operators is sent, then run.

The list lives in the board's memory. A board that is reset on the way has lost it, and the list is
sent again from the start; the output's CRC tells whether the right list was run.
"""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.profiling.backend import DeviceLostError
from hybrid_nas.profiling.protocol import (
    Accepted,
    Begin,
    Failure,
    Place,
    Result,
    RunNetwork,
)
from hybrid_nas.profiling.session import NoAnswerError, Session

_TRIES = 10
_SAID_WITHOUT_A_LIST = ("SEQ", "ARGS")


class _ListLostError(Exception):
    """The board no longer knows the list; `verdict` is raised when that keeps happening."""

    def __init__(self, verdict: HybridNasError) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


def run_network(session: Session, places: Sequence[Place], reps: int, predicted_s: float) -> Result:
    """Ticks of each run of a placed network, and the CRC of its output.

    Args:
        session: with the board.
        places: every operator with its offsets.
        reps: counted runs, 1 to 8.
        predicted_s: how long all of them are likely to take.

    Raises:
        InputError: the board refuses an operator, or stops while it runs the network.
        DeviceLostError: it is lost, or is reset each time.
    """
    for left in reversed(range(_TRIES)):
        try:
            _send_list(session, places)
            return _run(session, len(places), reps, predicted_s)
        except _ListLostError as lost:
            if not left:
                raise lost.verdict from lost
        except NoAnswerError as error:
            raise InputError(f"the board stops while it runs the network: {error}") from error
    raise AssertionError("the last try returns or raises")


def failure_words(failure: Failure) -> str:
    """Why a board refuses, for a person."""
    detail = f" ({failure.detail})" if failure.detail else ""
    match failure.code, failure.detail.split():
        case "NOMEM", [needed, there, *memory] if needed.isdecimal() and there.isdecimal():
            what = f" of {memory[0]} memory" if memory else ""
            return f"too large: needs {needed} bytes{what}, the board has {there}"
        case "NOMEM", _:
            return f"too large for the board's memory{detail}"
        case "OP", _:
            return f"the firmware has no kernel for it{detail}"
        case "ARGS", _:
            return f"the firmware finds it out of range{detail}"
        case "CMD", _:
            return f"the firmware does not know this request{detail}: flash this version's"
    return f"the board answers {failure.code}{detail}"


def _send_list(session: Session, places: Sequence[Place]) -> None:
    restarts = session.restarts
    requests: list[Begin | Place] = [Begin(len(places)), *places]
    for request in requests:
        answer = session.ask(request, Accepted).answer
        if isinstance(answer, Failure):
            raise _refusal(answer, request if isinstance(request, Place) else None)
        if session.restarts != restarts and isinstance(request, Place):
            raise _ListLostError(
                DeviceLostError("the board was reset each time a network was sent to it")
            )
        restarts = session.restarts


def _run(session: Session, count: int, reps: int, predicted_s: float) -> Result:
    answer = session.ask(RunNetwork(count, reps), Result, predicted_s).answer
    if isinstance(answer, Failure):
        raise _refusal(answer, None)
    return answer


def _refusal(failure: Failure, place: Place | None) -> Exception:
    where = f"operator {place.index} ({place.op.op}): " if place else "the network: "
    verdict = InputError(where + failure_words(failure))
    return _ListLostError(verdict) if failure.code in _SAID_WITHOUT_A_LIST else verdict
