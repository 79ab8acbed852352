"""A run directory with parts missing or broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.report.documents import read_run
from tests.report.example_run import make_run


@pytest.fixture
def copy_of_run(run_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_dir, tmp_path / "copy"))


def test_base_alone_on_test_is_the_curve_at_full_coverage(run_dir: Path) -> None:
    for pair in read_run(run_dir).front.pairs:
        curves = json.loads((run_dir / "pairs" / str(pair.id) / "curves.json").read_text())
        assert curves["coverage"][-1] == 1.0
        assert pair.base.test_accuracy == curves["accuracy"]["router"][-1]


def test_base_accuracy_on_test_in_the_document_is_preferred(copy_of_run: Path) -> None:
    document = json.loads((copy_of_run / "pareto.json").read_text())
    document["pairs"][0]["base"]["test_accuracy"] = 0.5
    (copy_of_run / "pareto.json").write_text(json.dumps(document))
    pairs = {pair.id: pair for pair in read_run(copy_of_run).front.pairs}
    assert pairs[document["pairs"][0]["id"]].base.test_accuracy == 0.5


def test_curves_are_sorted_by_coverage(copy_of_run: Path) -> None:
    path = next(copy_of_run.glob("pairs/*/curves.json"))
    straight = read_run(copy_of_run).curves[int(path.parent.name)]
    document = json.loads(path.read_text())
    document["coverage"].reverse()
    document["stderr"].reverse()
    for values in document["accuracy"].values():
        values.reverse()
    path.write_text(json.dumps(document))
    turned = read_run(copy_of_run).curves[int(path.parent.name)]
    np.testing.assert_array_equal(turned.coverage, straight.coverage)
    np.testing.assert_array_equal(turned.accuracy["msp"], straight.accuracy["msp"])


def test_optional_documents_may_be_missing_and_are_named(copy_of_run: Path) -> None:
    (copy_of_run / "run.yaml").unlink()
    (copy_of_run / "trials.json").unlink()
    shutil.rmtree(copy_of_run / "pairs")
    run = read_run(copy_of_run)
    assert not run.trials and not run.curves and not run.settings
    assert [text.split(" is missing")[0] for text in run.missing[:2]] == ["run.yaml", "trials.json"]
    assert len(run.missing) == 2 + len(run.front.pairs)


def test_trial_objectives_are_found_by_name(run_dir: Path) -> None:
    document = json.loads((run_dir / "trials.json").read_text())["trials"]
    for trial, given in zip(read_run(run_dir).trials, document, strict=True):
        assert trial.measures["accuracy@0.7"] == given["values"][0]
        assert trial.measures["mean_latency_ms"] == given["values"][1]
        assert trial.measures["accuracy@0.9"] == given["accuracy"]["0.9"]


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a directory"):
        read_run(tmp_path / "nowhere")


def test_a_directory_without_a_front_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no pareto\.json: name a run directory"):
        read_run(tmp_path)


def test_a_search_that_has_not_ended_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("schema: hybrid-nas/run/1\n")
    with pytest.raises(InputError, match=f"not ended.* --resume --run {tmp_path}"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("pareto.json", '{"schema": "hybrid-nas/pareto/1", "pairs": [', "is not JSON"),
        ("pareto.json", "[1, 2]", "must be an object"),
        ("pareto.json", "[" * 100_000, "is not JSON"),
        ("pareto.json", '{"schema": "hybrid-nas/estimate/1"}', "hybrid-nas/estimate/1"),
        ("trials.json", '{"schema": "hybrid-nas/trials/9", "trials": []}', "hybrid-nas/trials/9"),
        ("trials.json", '{"schema": "hybrid-nas/trials/1", "trials": [3]}', "trials[0] must be"),
        ("run.yaml", "settings: [", "is not YAML"),
        ("run.yaml", "!!python/object/apply:os.system [true]", "is not YAML"),
        ("run.yaml", "- a list", "must be an object"),
    ],
)
def test_a_broken_document_is_refused(copy_of_run: Path, name: str, text: str, named: str) -> None:
    (copy_of_run / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_run(copy_of_run)
    assert named in str(caught.value)
    assert name in str(caught.value)


def test_bytes_that_are_no_text_are_refused(copy_of_run: Path) -> None:
    (copy_of_run / "run.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"run\.yaml"):
        read_run(copy_of_run)


def test_curves_of_unequal_length_are_refused(copy_of_run: Path) -> None:
    path = next(copy_of_run.glob("pairs/*/curves.json"))
    document = json.loads(path.read_text())
    document["accuracy"]["entropy"].pop()
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="entropy has 38 values, but coverage has 39"):
        read_run(copy_of_run)


def test_the_example_fits_its_limits(tmp_path: Path) -> None:
    """What the other tests show must be a run that could exist."""
    front = read_run(make_run(tmp_path / "run")).front
    limits = front.limits
    assert limits.sram_bytes is not None and limits.flash_bytes is not None
    assert all((pair.cost.sram_bytes or 0) <= limits.sram_bytes for pair in front.pairs)
    assert all((pair.cost.flash_bytes or 0) <= limits.flash_bytes for pair in front.pairs)
