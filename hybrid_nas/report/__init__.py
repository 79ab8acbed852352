"""Looking at a run: tables in the terminal, plots, and one self-contained HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybrid_nas.report.terminal import render_front

if TYPE_CHECKING:
    from hybrid_nas.report.write import write_report

__all__ = ["render_front", "write_report"]


def __getattr__(name: str) -> Any:
    # matplotlib takes a second to import, and the terminal's table does not need it.
    if name == "write_report":
        from hybrid_nas.report.write import write_report

        return write_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
