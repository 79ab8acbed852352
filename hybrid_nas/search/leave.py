"""Leaving a search in the middle: the candidate that is being scored is given back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Leave:
    """A wish to leave, by signal: at once while a candidate is scored, else at the next chance.

    Between two candidates a process speaks with the storage, and is not to be cut short there.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._scoring = False

    def want(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ask to leave; a signal handler. Asked twice, it does not wait for anything."""
        again, self.wanted = self.wanted, True
        if self._scoring or again:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While this lasts, a wish is a KeyboardInterrupt at once."""
        if self.wanted:
            raise KeyboardInterrupt
        self._scoring = True
        try:
            yield
        finally:
            self._scoring = False

    @contextmanager
    def on_signals(self, *signals: signal.Signals) -> Iterator[Leave]:
        """Let signals express the wish; only the main thread may, elsewhere nothing is changed."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = [(number, signal.signal(number, self.want)) for number in signals]
        try:
            yield self
        finally:
            for number, handler in before:
                signal.signal(number, handler)
