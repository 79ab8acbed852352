"""Measurements as CSV: columns by their headers, units, and what is wrong with a line."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_csv import read_measurements
from hybrid_nas.hardware.latency_rows import COLUMNS
from hybrid_nas.hardware.latency_table import Identity, Measurement
from hybrid_nas.spaces.opspec import OpSpec
from tests.hardware.graphs import graphs

IDENTITY = Identity("stm32f746", "cortex-m7", 200_000_000, "tinyengine", "1.0", unit="ms")
HEADER = "op,h,w,cin,cout,kernel,stride,value\n"
ROW = "dwconv,8,8,16,16,3,2,1.5\n"


def read(
    folder: Path, text: str, identity: Identity = IDENTITY
) -> list[tuple[OpSpec, Measurement]]:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return read_measurements(path, identity)


def test_what_is_left_out_has_the_usual_value(tmp_path: Path) -> None:
    [(op, row)] = read(tmp_path, HEADER + ROW)
    assert op == OpSpec("dwconv", 8, 8, 16, 16, 3, 2, 1)
    assert row == Measurement(1.5, 0.0, 1)
    [(op, _)] = read(tmp_path, "op,h,w,cin,cout,value\nadd,4,4,8,8,0.1\n")
    assert op == OpSpec("add", 4, 4, 8, 8, bias=False, residual=1)


def test_columns_are_found_by_name_in_any_order_and_others_ignored(tmp_path: Path) -> None:
    text = "note;VALUE;cout;cin;w;h;op\nslow;2;5;4;3;2;conv\n\n"
    assert read(tmp_path, "\ufeff" + text) == [(OpSpec("conv", 2, 3, 4, 5), Measurement(2.0))]


@given(graphs(), st.floats(1e-6, 1e6), st.integers(1, 99))
def test_every_operator_survives_writing_all_columns(
    tmp_path_factory: pytest.TempPathFactory,
    ops: tuple[OpSpec, ...],
    value: float,
    count: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "all.csv"
    shapes = [op.shape for op in ops]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for op in shapes:
            shown = {name: getattr(op, name) for name in COLUMNS[:12]}
            writer.writerow({**shown, "value": value, "spread": 0.25, "count": count})
    expected = [(op, Measurement(value, 0.25, count)) for op in shapes]
    assert read_measurements(path, IDENTITY) == expected


@pytest.mark.parametrize(("unit", "expected"), [("ms", 3.0), ("us", 0.003), ("cycles", 1.5e-5)])
def test_units_become_those_of_the_table(tmp_path: Path, unit: str, expected: float) -> None:
    by_column = "op,h,w,cin,cout,value,unit\nconv,2,2,3,3,3," + unit
    by_name = f"op,h,w,cin,cout,{unit}\nconv,2,2,3,3,3"
    for text in (by_column, by_name):
        [(_, row)] = read(tmp_path, text)
        assert row.value == pytest.approx(expected)


def test_counts_of_instructions_are_no_times(tmp_path: Path) -> None:
    counted = replace(IDENTITY, unit="instructions")
    text = "op,h,w,cin,cout,ms\nconv,2,2,3,3,3"
    with pytest.raises(InputError, match="line 2: ms cannot be compared with a table in instr"):
        read(tmp_path, text, counted)
    [(_, row)] = read(tmp_path, text.replace("ms", "instructions"), counted)
    assert row.value == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("op,h,w,cin,cout\n", "must have the columns op, h"),
        ("op,h,w,cin,value\n", "must have the columns op, h"),
        ("op,h,w,cin,cout,ms,us\n", "must have the columns"),
        ("op,op,h,w,cin,cout,ms\n", "column 'op' is there twice"),
        (HEADER + "conv,8,8\n", "line 2 must have 8 values"),
        (HEADER + ROW + "convolution,8,8,3,4,3,1,2\n", "line 3: op must be one of conv"),
        (HEADER + "conv,8,8,3,4,3,1,fast\n", "line 2: value must be above 0"),
        (HEADER + "conv,8,8,3,4,3,1,nan\n", "line 2: value must be above 0"),
        (HEADER + "conv,8,8,3,4,3,1,inf\n", "line 2: value must be above 0"),
        (HEADER + "conv,8.5,8,3,4,3,1,1\n", "line 2: h must be an integer"),
        (HEADER + "conv,8,8,-3,4,3,1,1\n", "line 2: cin must be an integer, 1 or more"),
        (HEADER + "conv,8,8,3,4,3x3,1,1\n", "line 2: kernel must be an integer"),
        (HEADER + "conv,8,8,3,,3,1,1\n", "line 2: cout must be an integer"),
        (HEADER.replace("value", "value,unit") + "conv,8,8,3,4,3,1,1,h\n", "unit must be one of"),
        (HEADER + "dwconv,8,8,3,4,3,1,1\n", "line 2: .* dwconv with 3 input and 4 output channels"),
        (HEADER + "dense,8,8,3,4,1,1,1\n", "line 2: .* dense on 8x8 pixels"),
        (HEADER + "add,8,8,4,4,3,1,1\n", "line 2: .* add with kernel 3"),
        (HEADER + "conv,8,8,3,4,0,1,1\n", "line 2: .* conv with kernel 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_of_spreadsheets_are_read(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes((HEADER + ROW).replace(",", "\t").replace("\n", end).encode(encoding))
    assert read_measurements(path, IDENTITY) == read(tmp_path, HEADER + ROW)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_measurements(tmp_path / "absent.csv", IDENTITY)
    (tmp_path / "binary.csv").write_bytes(b"\x80\x81")
    with pytest.raises(InputError, match="cannot read"):
        read_measurements(tmp_path / "binary.csv", IDENTITY)


@given(st.text(alphabet='opconvhw,cinut123\n";\t.-e', max_size=200))
def test_garbage_never_makes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.csv"
    path.write_text(HEADER + text)
    try:
        read_measurements(path, IDENTITY)
    except InputError as error:
        assert str(path) in str(error)
