"""``hybrid-nas latency``: build, check, show and import latency tables."""

from __future__ import annotations

from importlib import import_module

import typer

COMMANDS: tuple[str, ...] = ("build", "validate", "show", "check", "import_")


def register(app: typer.Typer) -> None:
    """Add the group with all its commands to the application."""
    group = typer.Typer(
        help="Latency tables: measured on a board, an emulated board or this machine, or imported."
    )
    for name in COMMANDS:
        import_module(f"{__name__}.{name}").register(group)
    app.add_typer(group, name="latency")
