"""The exceptions of hybrid-nas: one base class, one subclass per kind of reaction.

The command line prints the message as one line and exits with ``exit_status``. Messages therefore
name the offending thing, what was expected, what was got, and the way to mend it.
"""

from __future__ import annotations


class HybridNasError(Exception):
    """The work failed for a reason that is not the wording of the user's input."""

    exit_status = 1


class InputError(HybridNasError, ValueError):
    """Something the user gave is wrong: a flag, a file, a folder, a table."""

    exit_status = 2


class InfeasibleError(InputError):
    """Nothing in the space fits the limits; the message names the nearest limits that work."""
