"""What a device showed, on the page; and the picture of the arena."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.patches import Rectangle

from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.plan import plan_arena
from hybrid_nas.report import write_report
from hybrid_nas.report.documents import read_run
from hybrid_nas.report.plot_arena import draw_arena, kind
from hybrid_nas.report.verified import read_plan, read_verified
from hybrid_nas.spaces.opspec import OpSpec
from tests.report.example_run import make_run
from tests.report.test_html import Page

OPS = (
    OpSpec("conv", 16, 16, 3, 8, kernel=3, stride=2, padding=1, activation="relu6"),
    OpSpec("dwconv", 8, 8, 8, 8, kernel=3, padding=1, activation="relu6"),
    OpSpec("avgpool", 8, 8, 8, 8, kernel=0, bias=False),
    OpSpec("dense", 1, 1, 8, 4),
)


def found(board: str = "emulated-cortex-m7", **changed: Any) -> dict[str, Any]:
    """A document in the shape of `hybrid-nas verify`'s; its numbers are made up."""
    numbers = {"arena": (4096, 4096), "SRAM": (4608, 4560), "flash": (50_000, 50_500)}
    quantities: list[dict[str, Any]] = [
        {"name": name, "unit": "bytes", "predicted": p, "observed": o, "error": p / o - 1}
        for name, (p, o) in numbers.items()
    ]
    quantities.append(
        {"name": "inference", "unit": "instructions", "predicted": None, "observed": 1_234_567.0}
    )
    agreement = {"images": 8, "exact": True, "same_decisions": 8, "sent": 3}
    outside = [{"who": "<onnx>", "exact": 2, "same_class": 8, "most_lsb": 5}]
    return {
        "schema": "hybrid-nas/verify/1",
        "board": board,
        "runtime": "hnas-c",
        "fits": True,
        "images_from": "the test split",
        "quantities": quantities,
        "agreement": agreement,
        "outside": outside,
    } | changed


def put(pair: Path, document: dict[str, Any]) -> Path:
    path = pair / "verify" / str(document["board"]) / "verify.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_the_page_shows_predictions_beside_what_a_device_showed(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", pairs=3, trials=10)
    number = read_run(folder).front.pairs[1].id
    pair = folder / "pairs" / str(number)
    put(pair, found())
    put(pair, found("stm32f746", fits=False) | {"agreement": {"images": 8, "exact": False}})
    (pair / "plan.json").write_text(json.dumps(plan_arena(OPS, (16, 16, 3)).document()))
    page = Page(write_report(folder).read_text())
    assert page.open == []
    assert page.text.count("Verified on") == 2
    for text in (
        *("Verified on emulated-cortex-m7", "4,560 (4.5 KB)", "50,500 (49.3 KB)"),
        *("\N{MINUS SIGN}0.99 %", "+1.05 %", "1,234,567", "inference, instructions"),
        *("Every output is what the int8 reference computes, 8 images (the test split)", "3 sent"),
        *("<onnx>: scores equal on 2 of 8, off by 5 steps", "Does not fit the limits."),
        *("The device computes something else", "The arena while the network runs"),
    ):
        assert text in page.text, text


def test_what_was_not_verified_has_no_section(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", pairs=2, trials=0)
    page = Page(write_report(folder).read_text())
    assert "Verified on" not in page.text and "The arena" not in page.text


def test_rectangles_are_lifetimes_by_places(tmp_path: Path) -> None:
    plan = plan_arena(OPS, (16, 16, 3), hold_image=True)
    (tmp_path / "plan.json").write_text(json.dumps(plan.document()))
    read = read_plan(tmp_path)
    assert read is not None and read.arena_bytes == plan.arena_bytes
    axes = draw_arena(read).axes[0]
    drawn = {
        (box.get_x(), box.get_y() * 1024, box.get_width(), box.get_height() * 1024)
        for box in axes.patches
        if isinstance(box, Rectangle)
    }
    wanted = {
        (one.first, offset, one.last - one.first + 1, one.bytes)
        for one, offset in zip(plan.tensors, plan.offsets, strict=True)
    }
    assert drawn == wanted
    assert max(y + height for _, y, _, height in drawn) == plan.arena_bytes
    assert {kind(one) for one in read.tensors} == {"image", "output", "scratch"}
    legend = axes.get_legend()
    assert legend is not None and len(legend.get_texts()) == 3


def test_a_plan_is_found_where_verify_left_it(tmp_path: Path) -> None:
    place = tmp_path / "verify" / "some-board" / "project" / "plan.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(plan_arena(OPS, (16, 16, 3)).document()))
    read = read_plan(tmp_path)
    assert read is not None and len(read.steps) == len(OPS)
    assert read_plan(tmp_path / "elsewhere") is None and read_verified(tmp_path) == ()


def test_broken_documents_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path, found() | {"quantities": "many"})
    with pytest.raises(InputError, match="quantities must be a list"):
        read_verified(tmp_path)
    path.write_text('{"schema": "hybrid-nas/verify/9"}')
    with pytest.raises(InputError, match="verify/9"):
        read_verified(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_plan(tmp_path)
