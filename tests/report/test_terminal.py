"""The table in the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from hybrid_nas.report import render_front
from hybrid_nas.report.read_front import read_front
from hybrid_nas.report.terminal import show_front
from hybrid_nas.report.verdict import verdict
from tests.report.example_run import ask

NOWHERE = Path("nowhere/report.html")


def shown(pareto: dict[str, Any], width: int, run_dir: Path = NOWHERE.parent) -> str:
    stream = io.StringIO()
    render_front(Console(file=stream, width=width), pareto, run_dir)
    return stream.getvalue()


def test_a_hundred_columns_show_everything(pareto: dict[str, Any]) -> None:
    text = shown(pareto, 100)
    heading = text.splitlines()[1].split()
    assert heading == [
        "pair",
        "base",
        "MACs",
        "SRAM",
        "flash",
        "device",
        "alone",
        "score",
        "test",
        "mean",
        "router",
    ]
    for pair in pareto["pairs"]:
        row = next(line for line in text.splitlines() if line.split()[:1] == [str(pair["id"])])
        score, test = pair["hybrid"]["0.7"], pair["test"]["0.7"]
        assert f"{100 * score['accuracy']:.1f} ± {100 * score['stderr']:.1f}" in row
        assert f"{100 * test['accuracy']:.1f} ± {100 * test['stderr']:.1f}" in row
        assert f"{pair['cost']['sram_bytes'] / 1024:.1f}" in row
        router = pair["router"]
        assert (router["kind"] if router["params"] else router["method"]) in row


@given(width=st.integers(12, 140))
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_cut(run_dir: Path, width: int) -> None:
    front = read_front(json.loads((run_dir / "pareto.json").read_text()))
    stream = io.StringIO()
    show_front(Console(file=stream, width=width), front, NOWHERE)
    text = stream.getvalue()
    assert all(cell_len(line.rstrip()) <= width for line in text.splitlines())
    assert "…" not in text
    for pair in front.pairs:
        assert str(pair.id) in text


def test_columns_without_values_are_left_out(pareto: dict[str, Any]) -> None:
    for pair in pareto["pairs"]:
        pair["cost"]["edge_latency_ms"] = None
        for results in (*pair["hybrid"].values(), *pair["test"].values()):
            results["mean_latency_ms"] = None
    text = shown(pareto, 100)
    assert "device" not in text and "mean" not in text and "None" not in text


def test_markup_in_names_is_plain_text(pareto: dict[str, Any]) -> None:
    pareto["pairs"][0]["router"]["kind"] = "[red]x[/red]"
    assert "[red]x[/red]" in shown(pareto, 110)


def test_no_pair_is_said_in_one_line(pareto: dict[str, Any]) -> None:
    pareto["pairs"] = []
    assert shown(pareto, 100) == (
        "No pair was found within the limits: 96 KB of SRAM, 1 MB of flash.\n"
    )


def test_the_path_of_the_report_stays_in_one_piece(run_dir: Path, pareto: dict[str, Any]) -> None:
    assert f"Report: {run_dir / 'report.html'}\n" in shown(pareto, 30, run_dir)


def test_the_headline_compares_with_base_and_cloud(pareto: dict[str, Any]) -> None:
    pareto["pairs"] = pareto["pairs"][:1]
    pair = pareto["pairs"][0]
    pair["test"]["0.7"] |= {"accuracy": 0.931, "stderr": 0.006}
    pair["base"]["test_accuracy"] = 0.842
    assert verdict(read_front(pareto)).headline == (
        f"Pair {pair['id']} reaches 93.1 % ± 0.6 (test split) at 70 % coverage; "
        "base alone 84.2 %, cloud alone 97.2 %."
    )
    pareto["cloud"] = None
    assert verdict(read_front(pareto)).headline == (
        f"Pair {pair['id']} answers 70 % of the inputs and is right on 93.1 % ± 0.6 of these "
        "(test split); base alone 84.2 %."
    )


def test_the_headline_answers_what_was_asked(pareto: dict[str, Any]) -> None:
    pareto["pairs"] = pareto["pairs"][:1]
    pair = pareto["pairs"][0]
    pair["base"]["test_accuracy"] = 0.842
    ask(pareto, mean_latency_ms=900.0, mean_energy_mj=20.0)
    pair["point"]["test"] |= {
        "accuracy": 0.931,
        "accuracy_with_timeouts": 0.924,
        "stderr": 0.006,
        "mean_latency_ms": 812.0,
    }
    found = verdict(read_front(pareto))
    assert found.headline == (
        f"Pair {pair['id']} reaches 93.1 % ± 0.6 (test split) at a mean latency of 812 ms (900 ms "
        "allowed) and at a mean energy of 14.4 mJ (20 mJ allowed); base alone 84.2 %, cloud alone "
        "97.2 %."
    )
    text = " ".join(found.sentences)
    for said in (
        "asks the cloud for 36.0 % of the inputs.",
        "the base answers: 92.4 % are to be expected then",
        "At 70 % coverage its router",
        "95 % of them are answered within 2400 ms",
        "takes 14.4 mJ on average",
        "a charge lasts 321 days (estimated)",
    ):
        assert said in text, said


def test_the_headline_of_a_bound_says_when_nothing_kept_it(pareto: dict[str, Any]) -> None:
    first, second, *_ = pareto["pairs"]
    kept = verdict(read_front(ask(pareto, max_loss=0.01))).headline
    assert kept.startswith(
        f"Pair {second['id']} is 0.7 ± 0.2 points below the cloud alone (test split, 1.0 allowed)"
    )
    for pair in pareto["pairs"]:
        pair["point"]["score"]["loss"] = 0.03
    first["point"]["score"]["loss"] = 0.02
    missed = verdict(read_front(pareto)).headline
    assert missed.startswith(
        "No pair is within 1.0 points of the cloud on the score split as well; the nearest, pair "
        f"{first['id']}, is 2.0 points below it there"
    )


def test_a_regime_shows_its_working_points(asked: dict[str, Any]) -> None:
    text = shown(asked, 130)
    assert text.startswith("Front at most 1 points below the cloud alone, cheapest first")
    heading = text.splitlines()[1].split()
    assert {"sent", "energy", "charge"} <= set(heading)
    for pair in asked["pairs"]:
        row = next(line for line in text.splitlines() if line.split()[:1] == [str(pair["id"])])
        at = pair["point"]["test"]
        assert f"{at['mean_latency_ms']:.1f}" in row
        assert "36.0" in row and "14.4" in row and "321" in row


@pytest.mark.parametrize(
    ("router", "said"),
    [(0.95, "1.0 points above"), (0.93, "1.0 points below"), (0.9402, "level with")],
)
def test_the_verdict_says_when_a_plain_confidence_is_better(
    pareto: dict[str, Any], router: float, said: str
) -> None:
    """The oracle is no rival: it knows the answers."""
    pareto["pairs"] = pareto["pairs"][:1]
    pair = pareto["pairs"][0]
    pair["test"]["0.7"]["accuracy"] = router
    pair["baselines"] = {"entropy": {"0.7": 0.92}, "msp": {"0.7": 0.94}, "oracle": {"0.7": 0.99}}
    sentence = verdict(read_front(pareto)).sentences[0]
    assert said in sentence and "max softmax, 94.0 %" in sentence


def test_what_does_not_fit_is_said_to_be_too_much(pareto: dict[str, Any]) -> None:
    pareto["pairs"] = pareto["pairs"][:1]
    pareto["pairs"][0]["cost"]["sram_bytes"] = 100 * 1024
    assert any(
        "SRAM 100 KB of 96 KB (4 KB too much)" in sentence
        for sentence in verdict(read_front(pareto)).sentences
    )
