"""YAML and text files of users: what cannot be read is one error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.text_files import read_text
from hybrid_nas.yaml_documents import file_yaml, parse_yaml


@pytest.mark.parametrize(
    "value",
    [
        "2020-99-99",
        "9" * 5000,
        "!!int x",
        "!!float x",
        "!!bool x",
        "!!timestamp x",
        "[",
        "{a: 1, a: 2}",
    ],
)
def test_values_that_cannot_be_are_an_error_of_the_file(value: str) -> None:
    with pytest.raises(InputError, match=r"^mine is not valid YAML") as caught:
        parse_yaml(f"schema: s\nvalue: {value}\n", "mine", "s")
    assert "\n" not in str(caught.value)


def test_merged_keys_may_be_replaced() -> None:
    text = "schema: s\na: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\n"
    assert parse_yaml(text, "mine", "s")["b"] == {"x": 3, "y": 2}
    text = "schema: s\nz:\n  - &b {<<: {x: 1}, x: 2}\n  - {<<: *b}\nc: {<<: *b, x: 3}\n"
    found = parse_yaml(text, "mine", "s")
    assert (found["z"], found["c"]) == ([{"x": 2}, {"x": 2}], {"x": 3})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_and_line_ends_make_no_difference(tmp_path: Path, encoding: str, end: str) -> None:
    text = f"schema: s{end}name: Stra\u00dfe{end}"
    data = b"\xff\xfe" + text.encode("utf-16-le") if "mark" in encoding else text.encode(encoding)
    (tmp_path / "a.yaml").write_bytes(data)
    assert file_yaml(tmp_path / "a.yaml", "s") == {"schema": "s", "name": "Stra\u00dfe"}


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x80")
    with pytest.raises(InputError, match=r"cannot read .*a as text: .*; save it as UTF-8"):
        read_text(tmp_path / "a")
    with pytest.raises(InputError, match="cannot read"):
        read_text(tmp_path)
    with pytest.raises(InputError, match=r"no file .*b: a log$"):
        read_text(tmp_path / "b", "a log")
