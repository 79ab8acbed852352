"""Reading the user's text files and JSON, with errors that say what is wrong with them."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

from hybrid_nas.errors import InputError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, expected: str = "") -> str:
    """The text of a file, see `decode`.

    Args:
        path: the file.
        expected: what it should be, for the message if there is none.

    Raises:
        InputError: there is no such file, or it cannot be read as text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no file {path}" + (f": {expected}" if expected else "")) from None
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise InputError(f"cannot read {path}: {error}") from error
    try:
        return decode(data)
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path} as text: {error}; save it as UTF-8") from error


def decode(data: bytes) -> str:
    """UTF-8, or UTF-16 if it begins like that; without its mark.

    Spreadsheets put a byte order mark in front, and PowerShell's ``>`` writes UTF-16.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")


def parse_json(text: str, name: str) -> object:
    """What a JSON text stands for; `name` is for messages.

    Raises:
        InputError: it is no JSON, or is nested too deeply, or has too long a number.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not valid JSON: {error}") from error
