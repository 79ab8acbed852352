"""Flags whose values have a unit: every command reads sizes, times and shares in the same way.

In a command: ``sram: Annotated[int | None, size_option("--sram", help="SRAM limit")] = None``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hybrid_nas.errors import InputError
from hybrid_nas.units import parse_bytes, parse_coverage, parse_duration_s, parse_ms


def size_option(*names: str, help: str, allow_zero: bool = False) -> Any:
    """An option that takes a size such as ``320KB`` and yields bytes."""
    return value_option(
        *names, parse=partial(parse_bytes, allow_zero=allow_zero), metavar="SIZE", help=help
    )


def time_option(*names: str, help: str, allow_zero: bool = False) -> Any:
    """An option that takes a time such as ``1400ms`` or ``1.4s`` and yields milliseconds."""
    return value_option(
        *names, parse=partial(parse_ms, allow_zero=allow_zero), metavar="TIME", help=help
    )


def duration_option(*names: str, help: str) -> Any:
    """An option that takes a duration such as ``5m`` or ``1h30m`` and yields seconds."""
    return value_option(*names, parse=parse_duration_s, metavar="DURATION", help=help)


def coverage_option(*names: str, help: str) -> Any:
    """An option that takes a share such as ``0.7`` or ``70%`` and yields a number in (0, 1]."""
    return value_option(*names, parse=parse_coverage, metavar="SHARE", help=help)


def value_option(*names: str, parse: Callable[[Any], object], metavar: str, help: str) -> Any:
    """An option read by `parse`, whose `InputError` becomes a usage error that names the flag."""

    def convert(value: Any) -> object:
        try:
            return parse(value)
        except InputError as error:
            raise typer.BadParameter(str(error)) from error

    return typer.Option(*names, parser=convert, metavar=metavar, help=help)


Guarantee = Annotated[
    list[str] | None,
    typer.Option(
        "--guarantee",
        metavar="PROMISE",
        help="A promise to find a threshold for, quoted: 'loss<=0.01@0.95', "
        "'queries<=0.3', 'accuracy>=0.95@0.95', 'risk<=0.05@0.95'. May be repeated.",
    ),
]
"""Promises, read by `hybrid_nas.routing.guarantees.parse_promise`."""

Untrained = Annotated[
    bool, typer.Option("--untrained", help="As the search left it, even if it was trained since.")
]
"""The pair before final training."""

Arch = Annotated[
    Path | None, typer.Option("--arch", metavar="JSON", help="Instead of RUN: an architecture,")
]
"""A network that is no run's: its JSON."""

Weights = Annotated[Path | None, typer.Option("--weights", metavar="PTH", help="and its weights.")]
"""A network that is no run's: its weights."""

Normalisation = Annotated[
    str | None,
    typer.Option(
        "--normalisation",
        metavar="NAME|MEAN/STD",
        help="With --arch: what the weights were trained with: half (-1 .. 1, MCUNet's, the "
        "default), imagenet (Once-for-All's), unit (0 .. 1), or numbers.",
    ),
]
"""Of a network that is no run's, read by `hybrid_nas.data.normalisation.parse_normalisation`."""

Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all cores.")]
"""CPU threads."""
