"""Sizes, times and shares: what is understood, what is refused; printing and reading agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.units import (
    describe_bytes,
    format_bytes,
    format_ms,
    parse_bytes,
    parse_coverage,
    parse_duration_s,
    parse_ms,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("320KB", 327_680),
        ("320kB", 327_680),
        ("320KiB", 327_680),
        ("320kb", 327_680),
        ("320K", 327_680),
        (" 320 KB ", 327_680),
        ("1MB", 1_048_576),
        ("1MiB", 1_048_576),
        ("1.5MB", 1_572_864),
        (".5MB", 524_288),
        ("2.MB", 2_097_152),
        ("1GB", 1_073_741_824),
        ("4096", 4096),
        ("4096B", 4096),
        (4096, 4096),
        ("0.3KB", 307),  # 307.2: never more than was written
        ("0.1MB", 104_857),  # exact, where a float would make .6 out of .1 * 2**20
    ],
)
def test_sizes_are_read_as_the_data_sheets_write_them(text: str | int, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    ["12XB", "-5", "-5KB", "", " ", "nan", "inf", "0", "0KB", "0.0001KB", "1e6", "1,5MB", "1_000",
     "KB", "1.2.3", "320KBs", "320 K B", "٣KB", "9" * 5000],
)  # fmt: skip
def test_a_wrong_size_is_refused_with_the_value_and_examples(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_bytes(text)
    assert repr(text) in str(caught.value)
    assert "320KB" in str(caught.value)


@pytest.mark.parametrize("text", ["8Mb", "512Kb", "1Gb"])
def test_units_that_data_sheets_use_for_bits_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="counts bits"):
        parse_bytes(text)


@pytest.mark.parametrize("value", [-1, 0, True, 1.5, None])
def test_sizes_that_are_not_text_must_be_positive_integers(value: int) -> None:
    with pytest.raises(InputError):
        parse_bytes(value)


def test_zero_is_a_size_or_a_time_only_where_the_caller_says_so() -> None:
    assert parse_bytes("0", allow_zero=True) == 0
    assert parse_bytes(0, allow_zero=True) == 0
    assert parse_ms("0", allow_zero=True) == 0.0
    with pytest.raises(InputError):
        parse_bytes("-1", allow_zero=True)
    with pytest.raises(InputError, match="above 0"):
        parse_ms("0ms")


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1400ms", 1400.0),
        ("1.4s", 1400.0),
        ("1400", 1400.0),
        ("1400 MS", 1400.0),
        ("250us", 0.25),
        ("250µs", 0.25),
        (200, 200.0),
        (0.5, 0.5),
    ],
)
def test_times_are_milliseconds_unless_they_say_otherwise(
    text: str | float, time_ms: float
) -> None:
    assert parse_ms(text) == time_ms


@pytest.mark.parametrize("text", ["", "5m", "5 min", "-3ms", "soon", "nan", "infs", "ms"])
def test_a_wrong_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="1400ms"):
        parse_ms(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_times_that_are_not_text_must_be_finite_and_positive(value: float) -> None:
    for parse in (parse_ms, parse_duration_s):
        with pytest.raises(InputError):
            parse(value)


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [
        ("5m", 300.0),
        ("5min", 300.0),
        ("90s", 90.0),
        ("90", 90.0),
        ("1h30m", 5400.0),
        ("1h 30m 15s", 5415.0),
        ("1.5h", 5400.0),
        ("1H", 3600.0),
        (12.5, 12.5),
    ],
)
def test_durations_add_hours_minutes_and_seconds(text: str | float, duration_s: float) -> None:
    assert parse_duration_s(text) == duration_s


@pytest.mark.parametrize("text", ["", "h", "30m1h", "1h30", "0s", "0", "-5m", "5 days", "1m1m"])
def test_a_wrong_or_ambiguous_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="1h30m"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "coverage"),
    [("0.7", 0.7), ("1", 1.0), (".5", 0.5), ("70%", 0.7), ("100%", 1.0), (1, 1.0)],
)  # fmt: skip
def test_coverage_is_a_share(text: str | float, coverage: float) -> None:
    assert parse_coverage(text) == coverage


@pytest.mark.parametrize("text", ["1.5", "0", "-0.1", "70", "101%", "", "nan", "0.7x", math.nan])
def test_a_coverage_outside_0_to_1_is_refused(text: str | float) -> None:
    with pytest.raises(InputError, match=r"0\.7"):
        parse_coverage(text)


def test_sizes_and_times_are_printed_for_people() -> None:
    assert format_bytes(327_680) == "320 KB"
    assert format_bytes(1023) == "1023 B"
    assert format_bytes(1_048_575) == "1 MB"  # and not 1024 KB
    assert format_bytes(-327_680) == "-320 KB"
    assert describe_bytes(1_048_576) == "1 MB (1,048,576 bytes)"
    assert format_ms(0.0) == "0 ms"
    assert format_ms(2000.4) == "2000 ms"
    assert format_ms(9999.9) == "10 s"


@given(st.integers(min_value=1, max_value=2**45))
def test_a_printed_size_reads_back_to_half_a_digit(size_bytes: int) -> None:
    read = parse_bytes(format_bytes(size_bytes))
    assert math.isclose(read, size_bytes, rel_tol=0.05, abs_tol=1)
    assert parse_bytes(str(size_bytes)) == size_bytes


@given(st.integers(min_value=1, max_value=10**6), st.sampled_from(["KB", "MB", "GB"]))
def test_whole_units_are_exact(number: int, unit: str) -> None:
    assert parse_bytes(f"{number}{unit}") == number * 1024 ** ("KB", "MB", "GB").index(unit) * 1024


@given(st.floats(min_value=1e-6, max_value=1e9, allow_nan=False))
def test_a_time_reads_back_as_the_float_that_was_written(time_ms: float) -> None:
    assert parse_ms(f"{time_ms:.12f}") == float(f"{time_ms:.12f}")


@given(st.text(max_size=12))
@example("0\x1f")
def test_any_text_is_either_read_or_refused_as_input_error(text: str) -> None:
    for parse in (parse_bytes, parse_ms, parse_duration_s, parse_coverage):
        try:
            assert parse(text) > 0
        except InputError as error:
            assert repr(text) in str(error)
