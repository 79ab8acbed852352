"""Flags with several values after one name, as in ``--coverage 0.9 0.7``, or perhaps with none.

The command-line library gives an option one value. `join_values` rewrites the arguments before it
sees them: the numbers that follow such a flag become one value, separated by commas, which the
command takes apart again with `parse_coverages`. Commas and repeated flags work as well. A flag
whose value may be left out, as in ``--search-cloud [FILE]``, gets the value that this stands for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hybrid_nas.errors import InputError
from hybrid_nas.units import parse_coverage

MULTIVALUE_FLAGS = ("--coverage",)
"""Flags, of any command, that take several numbers."""

OPTIONAL_VALUE_FLAGS = {"--search-cloud": "own"}
"""Flags, of any command, whose value may be left out, with what they mean then."""

_NUMBERS = re.compile(r"[+-]?[0-9.][0-9.eE%+-]*(,[^\s]*)?")


def join_values(argv: Sequence[str], flags: Sequence[str] = MULTIVALUE_FLAGS) -> list[str]:
    """`argv` with the numbers after each of `flags` joined, and the values that were left out.

    Nothing after ``--`` is touched.

    >>> join_values(["route", "--coverage", "0.9", "0.7", "--json"])
    ['route', '--coverage=0.9,0.7', '--json']
    >>> join_values(["search", "--search-cloud", "--json"])
    ['search', '--search-cloud=own', '--json']
    """
    joined: list[str] = []
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        if token == "--":
            return [*joined, token, *rest]
        if token in OPTIONAL_VALUE_FLAGS and (not rest or rest[0].startswith("-")):
            joined.append(f"{token}={OPTIONAL_VALUE_FLAGS[token]}")
            continue
        name, equals, value = token.partition("=")
        if name not in flags:
            joined.append(token)
            continue
        values = [value] if equals else []
        while rest and _NUMBERS.fullmatch(rest[0]):
            values.append(rest.pop(0))
        joined.append(f"{name}={','.join(values)}" if values else token)
    return joined


def parse_coverages(given: Sequence[str], default: Sequence[float]) -> tuple[float, ...]:
    """Coverages from the values of a flag: each once, in the order given; `default` if none are.

    Raises:
        InputError: for what is no coverage, naming it.

    >>> parse_coverages(["0.9,0.7", "50%"], default=())
    (0.9, 0.7, 0.5)
    """
    parts = [part.strip() for value in given for part in value.split(",")]
    if any(not part for part in parts):
        raise InputError(
            f"--coverage {','.join(parts)!r} has an empty value: write it like --coverage 0.9 0.7"
        )
    return tuple(dict.fromkeys(parse_coverage(part) for part in parts)) or tuple(default)
