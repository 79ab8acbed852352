"""The page: self-contained, escaped, complete with parts missing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from hybrid_nas.report import write_report
from hybrid_nas.report.documents import read_run
from hybrid_nas.report.html import render_html
from tests.report.example_run import make_run

EVIL = "</title></script><script>alert('x')</script><img src=x onerror=alert(1)> $\\frac \"'&"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and visible text of a page; notes tags that are not closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.pieces).replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.pieces.append(data)


@pytest.fixture(scope="module")
def html(run_dir: Path) -> str:
    return (run_dir / "report.html").read_text()


def assert_harmless(html: str) -> Page:
    """No script but ours, no handlers, nothing fetched."""
    page = Page(html)
    assert not page.open
    assert page.tags["script"] == 1 and page.tags["style"] == 1
    assert not {"img", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on") and name != "target", (tag, name)
        if name in ("href", "src", "xlink:href", "action", "data"):
            assert value.startswith("#"), (tag, name, value)
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    return page


def test_page_fetches_nothing_and_runs_only_its_own_script(html: str) -> None:
    assert_harmless(html)
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert f"script-src 'sha256-{digest}'" in policy[1].replace("&#39;", "'")


def test_links_lead_somewhere(html: str) -> None:
    page = Page(html)
    ids = [value for _, name, value in page.attributes if name == "id"]
    targets = [value[1:] for _, name, value in page.attributes if name in ("href", "xlink:href")]
    assert set(targets) <= set(ids)
    own = [name for name in ids if name.startswith("pair-") and "_" not in name]
    assert len(own) == len(set(own)) == 3


def test_score_and_test_of_every_pair_stand_side_by_side(html: str, pareto: dict[str, Any]) -> None:
    text = Page(html).text
    for pair in pareto["pairs"]:
        for key in ("0.9", "0.7", "0.5"):
            score, test = pair["hybrid"][key], pair["test"][key]
            both = " ".join(
                f"{100 * r['accuracy']:.1f} % ± {100 * r['stderr']:.1f}" for r in (score, test)
            )
            assert both in text


def test_page_says_what_a_reader_must_know(html: str) -> None:
    text = Page(html).text
    for said in (
        "The search selected on the score split",
        "the ones that may be claimed",
        "The radio stack and application reserve is 0 B",
        "Predicted: fitted to a latency table",
        "hybrid-nas search --sram 96KB --flash 1MB --seed 0",
        "made-up-" + "0" * 56,
        "The standard error on the score split is above one point for 2 candidates.",
        "each is cut at its own quantile of the test split",
    ):
        assert said in text, said
    assert "hunter2" not in html


def test_reserves_are_stated(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", pairs=1, trials=3)
    document = json.loads((folder / "pareto.json").read_text())
    document["limits"] |= {"reserve_sram_bytes": 40960, "reserve_flash_bytes": 65536}
    (folder / "pareto.json").write_text(json.dumps(document))
    assert "reserve is 40 KB of SRAM and 64 KB of flash" in page_without_plots(folder)
    del document["limits"]["reserve_sram_bytes"]
    (folder / "pareto.json").write_text(json.dumps(document))
    settings = yaml.safe_load((folder / "run.yaml").read_text())
    settings["settings"]["reserve_sram_bytes"] = 2048
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    assert "reserve is 2 KB of SRAM" in page_without_plots(folder)
    del settings["settings"]["reserve_sram_bytes"]
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    assert "does not say how much SRAM and flash were reserved" in page_without_plots(folder)


def test_what_was_asked_and_what_it_costs_is_shown(tmp_path: Path, asked: dict[str, Any]) -> None:
    folder = make_run(tmp_path / "run", pairs=3, trials=4)
    (folder / "pareto.json").write_text(json.dumps(asked))
    text = page_without_plots(folder)
    for said in (
        "Asked: at most 1 points below the cloud alone. Cheapest first",
        "Asks the cloud 36.0 % of the inputs",
        "Mean energy 14.4 mJ 321 days per charge",
        "with timeouts, % below cloud, points mean, ms 95 % within, ms energy, mJ charge, days",
        "Every pair asks as seldom as keeps it within the loss on the threshold split",
        "The uplink loses some queries",
        "Days per charge leave out camera",
    ):
        assert said in text, said
    for pair in asked["pairs"]:
        score, test = pair["point"]["score"], pair["point"]["test"]
        planned = [
            f"{100 * one['accuracy']:.1f} % ± {100 * one['stderr']:.1f}" for one in (score, test)
        ]
        expected = f"{100 * test['accuracy_with_timeouts']:.1f}"
        row = f"62.0 %, planned {planned[0]} {planned[1]} 64.0 % {expected}"
        assert row in text


def test_without_prices_nothing_is_said_of_them(html: str) -> None:
    text = Page(html).text
    for absent in ("mJ", "charge", "with timeouts", "As asked", "planned", "95 % within"):
        assert absent not in text, absent


def page_without_plots(folder: Path) -> str:
    return Page(render_html(read_run(folder), {}, {})).text


def test_text_of_documents_is_escaped_everywhere(tmp_path: Path) -> None:
    """Every text and every key of every document is an attempt to break out."""
    folder = make_run(tmp_path / "<b>run", pairs=2, trials=8, data_name=EVIL)
    pareto = json.loads((folder / "pareto.json").read_text())
    kept = {"schema", "directions", "names"}
    pareto = {
        key: spoiled(value) if key not in kept and key != "objective" else value
        for key, value in pareto.items()
    }
    (folder / "pareto.json").write_text(json.dumps(pareto))
    settings = spoiled(yaml.safe_load((folder / "run.yaml").read_text()))
    settings[EVIL] = {EVIL: [EVIL]}
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    for path in folder.glob("pairs/*/curves.json"):
        curves = json.loads(path.read_text())
        curves["accuracy"][EVIL] = curves["accuracy"]["msp"]
        path.write_text(json.dumps(curves))
    page = assert_harmless(write_report(folder).read_text())
    assert " ".join(EVIL.split()) in page.text


def spoiled(value: Any) -> Any:
    """`value` with every text replaced, and unknown keys beside the known ones."""
    if isinstance(value, dict):
        return {key: spoiled(item) for key, item in value.items()} | {EVIL: {"0.7": 0.5}}
    if isinstance(value, list):
        return [spoiled(item) for item in value]
    return EVIL if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pairs": 0, "trials": 0}, "No pair was found within the limits"),
        ({"pairs": 1, "trials": 0}, "trials.json is missing"),
        ({"pairs": 1, "trials": 4, "cloud": False}, "left unanswered"),
        ({"pairs": 1, "trials": 4, "latency": False}, "The latency of these pairs is not known"),
    ],
)
def test_runs_with_parts_missing_have_a_page(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    folder = make_run(tmp_path / "run", **options)
    page = assert_harmless(write_report(folder).read_text())
    assert said in page.text
    assert "None" not in page.text and "nan" not in page.text.split()


def test_no_cloud_is_mentioned_without_one(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", pairs=1, trials=4, cloud=False)
    text = page_without_plots(folder)
    assert "Cloud alone" not in text and "cloud alone" not in text


def test_front_alone_is_enough(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", pairs=2, trials=4)
    only = tmp_path / "only"
    only.mkdir()
    (only / "pareto.json").write_bytes((folder / "pareto.json").read_bytes())
    text = page_without_plots(only)
    assert "run.yaml is missing" in text and "No curves were written for this pair" in text
