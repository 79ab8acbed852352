"""Final training in two processes ends as in one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.supernet.distributed import join_team
from hybrid_nas.training.job import CLOUD_FILE, FinalJob, RunPair
from tests.supernet.test_distributed import command, together
from tests.training.conftest import copy_of
from tests.training.test_training import QUICK

# batches of 15 deal to 8 and 7; a round ends in the middle of a pool
UNEVEN = replace(QUICK, batch=15, train_cloud=True, cloud_rate=0.01)


def member(run: Path, stop_after: int | None) -> dict[str, Any]:
    """One process's part of a final training; process 1 alone says stop, the first alone writes."""
    with join_team() as team:
        job = FinalJob(RunPair(RunDirectory(run), 1), UNEVEN, 0.7, team=team)
        trainer, last = job.trainer, team.rank == team.size - 1
        done = job.train(stop=lambda: last and trainer.step == stop_after)
    now = trainer.base.network.state_dict() | job.pair.cloud.network.state_dict()
    document = job.write() if done and team.leads else None
    return {
        "step": trainer.step,
        "state": {name: tensor.numpy() for name, tensor in now.items()},
        "document": document,
    }


def shape_of(document: Any) -> Any:
    """Names and counts, not values."""
    if isinstance(document, dict):
        return {key: shape_of(value) for key, value in document.items()}
    return [shape_of(one) for one in document] if isinstance(document, list) else type(document)


def test_two_processes_end_with_what_one_ends_with(model_run: RunDirectory, tmp_path: Path) -> None:
    """No batch norm is left in these networks, so shares of a batch add up to the batch.

    What is left is the order of float32 sums, which after some steps moves a value over the edge
    between two int8 levels; weights are therefore compared before the second round.
    """
    alone, team = (copy_of(model_run, tmp_path / name) for name in ("alone", "team"))
    (one,) = together(1, member, alone.path, 2)
    two = together(2, member, team.path, 2)
    assert [each["step"] for each in two] == [2, 2]
    start = FinalJob(RunPair(alone, 1), UNEVEN, 0.7).trainer.base.network.state_dict()
    for name, value in one["state"].items():
        np.testing.assert_array_equal(two[1]["state"][name], two[0]["state"][name], err_msg=name)
        np.testing.assert_allclose(two[0]["state"][name], value, atol=2e-5, err_msg=name)
    learnt = [np.abs(one["state"][name] - start[name].numpy()).max() for name in start]
    assert max(learnt) > 1e-3  # fifty times what the two may differ by

    # one process goes on where two stood, and two where one stood
    (one,), two = together(1, member, team.path, None), together(2, member, alone.path, None)
    assert two[1]["document"] is None
    for name, value in two[0]["state"].items():
        np.testing.assert_array_equal(two[1]["state"][name], value, err_msg=name)
    assert shape_of(one["document"]) == shape_of(two[0]["document"])
    files = [
        sorted(path.name for path in RunPair(run, 1).folder.iterdir()) for run in (alone, team)
    ]
    assert files[0] == files[1] == ["base.pt", CLOUD_FILE, "router.json", "training.json"]
    for figures, others in zip(
        one["document"]["rounds"], two[0]["document"]["rounds"], strict=True
    ):
        assert figures["hybrid"] == pytest.approx(others["hybrid"], abs=0.05)
        assert figures["base"] == pytest.approx(others["base"], abs=0.05)


def test_the_command_speaks_once(predictions_run: RunDirectory, tmp_path: Path) -> None:
    run = copy_of(predictions_run, tmp_path)
    flags = ["--pair", "1", "--steps", "2", "--rounds", "1", "--threads", "1", "--json"]
    argv = ["train", str(run.path), *flags]
    found = together(2, command, tmp_path, [*argv, "--batch", "8"], None)
    assert [status for status, _ in found] == [0, 0]
    assert json.loads((tmp_path / "stdout0").read_text())["schema"].startswith("hybrid-nas/final")
    assert (tmp_path / "stdout1").read_text() == "" and found[1][1] == ""
    found = together(2, command, tmp_path, [*argv, "--batch", "2"], None)
    said = "".join(text for _, text in found)
    assert "--batch 2 leaves a process" in said and said.count("\n") == 1
    assert [status for status, _ in found] == [2, 2]
