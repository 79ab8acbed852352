"""Numbers in words, stage tables and provenance."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.report import architecture, fields, front, provenance, words
from hybrid_nas.report.architecture import stages
from hybrid_nas.report.front import Limits
from hybrid_nas.report.result import Result
from hybrid_nas.units import parse_bytes


@pytest.mark.parametrize("module", [architecture, fields, front, provenance, words])
def test_examples_in_docstrings(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Result(accuracy=0.9312, stderr=0.0061), "93.1 % ± 0.6"),
        (Result(accuracy=0.9312), "93.1 %"),
        (Result(stderr=0.1), "–"),
        (Result(accuracy=1.0, stderr=0.0), "100.0 % ± 0.0"),
    ],
)
def test_accuracy_with_its_standard_error(result: Result, text: str) -> None:
    assert words.accuracy(result) == text
    assert words.bare_accuracy(result) == text.replace(" %", "")


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0112, "+1.1"), (-0.0112, "\N{MINUS SIGN}1.1"), (-0.0001, "0.0"), (0.0, "0.0"), (None, "–")],
)
def test_differences_have_a_sign_unless_they_round_to_nothing(
    difference: float | None, text: str
) -> None:
    assert words.points(difference) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [("0.7", "70 %"), ("0.07", "7 %"), ("0.125", "12.5 %"), (1.0, "100 %"), ("odd", "odd")],
)
def test_coverage_keys_are_written_as_percentages(key: str | float, text: str) -> None:
    assert words.coverage(key) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (12_800_000, "12.8 M"),
        (740_000, "740 k"),
        (999_600, "1.00 M"),
        (2_373, "2.37 k"),
        (None, "–"),
    ],
)
def test_counts_have_three_digits(value: int | None, text: str) -> None:
    assert words.count(value) == text


@given(used=st.integers(0, 2**24), limit=st.integers(1, 2**24))
def test_what_is_used_and_spare_adds_up_to_the_limit(used: int, limit: int) -> None:
    """Read back with the parser of the command line, to within a decimal of the three numbers."""
    match = re.fullmatch(r"(.+) of (.+) \((.+) (to spare|too much)\)", words.fit(used, limit))
    assert match is not None
    taken, allowed, rest = (parse_bytes(match[n], allow_zero=True) for n in (1, 2, 3))
    rounding = sum(1 + 0.05 * parse_bytes(f"1{match[n].split()[1]}") for n in (1, 2, 3))
    assert (match[4] == "too much") == (used > limit)
    assert abs(taken + (-rest if used > limit else rest) - allowed) <= rounding


def test_limits_in_words_leave_out_what_is_not_limited() -> None:
    assert words.limits(Limits(None, None, None, None, None)) == "no limits"
    assert words.limits(Limits(327_680, None, 50.0, None, None)) == (
        "320 KB of SRAM, 50 ms on the device"
    )


def test_labels_of_plots_are_short_and_have_no_control_characters() -> None:
    assert words.printable("a\x00b\nc") == "a b c"
    assert len(words.printable("x" * 500, 20)) == 20


def test_stages_follow_the_genes_of_the_mcunet_space() -> None:
    genes = {
        "resolution": 48,
        "width": 0.5,
        "d1": 2,
        "k1.1": 3,
        "e1.1": 4,
        "k1.2": 7,
        "e1.2": 6,
        "k2.1": 5,
        "e2.1": 3,
    }
    table = stages(genes)
    assert table.columns == ("stage", "blocks", "kernel sizes", "expansion ratios")
    assert table.rows == (("1", "2", "3 · 7", "4 · 6"), ("2", "1", "5", "3"))
    assert table.others == (("resolution", "48"), ("width", "0.5"))


def test_genes_of_another_format_are_listed_as_they_are() -> None:
    table = stages({"ks": [3, 5], "d": [2], "r": 224})
    assert not table.rows
    assert dict(table.others) == {"ks": "[3, 5]", "d": "[2]", "r": "224"}


def test_settings_become_tables_of_text() -> None:
    tables = provenance.fact_tables(
        {
            "schema": "x",
            "command": "c",
            "warnings": ["w"],
            "settings": {"a_bytes": 1024, "b": {"c": [1, 2], "d": None}, "e": True},
        }
    )
    assert [table.title for table in tables] == ["run", "settings"]
    assert tables[0].rows == (("command", "c"),)
    assert dict(tables[1].rows) == {
        "a bytes": "1 KB (1,024 bytes)",
        "b.c": "1, 2",
        "b.d": "–",
        "e": "yes",
    }


@given(
    st.text(st.characters(blacklist_characters=":/@", blacklist_categories=["Z", "C"]), min_size=4)
)
def test_passwords_of_databases_are_not_shown(password: str) -> None:
    shown = provenance.hide_passwords(f"--storage postgresql+psycopg://ann:{password}@db.example/x")
    assert shown == "--storage postgresql+psycopg://ann:***@db.example/x"
