"""A training says of which pair it is, and no other pair takes it for its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hybrid_nas.errors import InputError
from hybrid_nas.evaluation.subject import open_subject
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.supernet.cloud import open_supernet_cloud
from hybrid_nas.supernet.network_file import save_network
from hybrid_nas.training.int8_base import read_about, save_base
from hybrid_nas.training.job import CLOUD_FILE, FinalJob, RunPair
from tests.training.conftest import copy_of
from tests.training.test_own_cloud import joint_run
from tests.training.test_training import QUICK

__all__ = ["joint_run"]


@pytest.fixture
def trained(predictions_run: RunDirectory, tmp_path: Path) -> RunPair:
    """Pair 1 of a run, trained."""
    pair = RunPair(copy_of(predictions_run, tmp_path), 1)
    assert FinalJob(pair, QUICK, 0.7).run() is not None
    return pair


def with_router(pair: RunPair, kind: str) -> RunPair:
    """The front as if a resumed search had given the pair's number to one of another router."""
    document = json.loads(pair.directory.pareto.read_text())
    document["pairs"][pair.number - 1]["router"]["kind"] = kind
    pair.directory.write_json(pair.directory.pareto, document)
    return RunPair(pair.directory, pair.number)


def rewrite_base(pair: RunPair, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let ``base.pt`` say something else of itself."""
    base = open_subject(pair, (0.7,)).base
    path = pair.folder / "base.pt"
    save_base(base, path, change(read_about(path)))


def refusal(pair: RunPair) -> str:
    """What is said when the pair is opened."""
    with pytest.raises(InputError) as caught:
        open_subject(pair, (0.7,))
    line = str(caught.value)
    assert "another pair" in line and "--untrained" in line and "\n" not in line
    return line


def test_it_says_of_which_pair_it_is(trained: RunPair) -> None:
    candidate = trained.candidate
    assert read_about(trained.folder / "base.pt") == {
        "space": trained.setup.space.name,
        "genes": list(candidate.genes),
        "router": candidate.router,
        "cloud": None,
    }
    document = json.loads((trained.folder / "training.json").read_text())
    assert document["trial"] == trained.document["trial"]


def test_a_pair_of_another_router_does_not_take_it(trained: RunPair) -> None:
    assert open_subject(trained, (0.7,)).trained
    other = with_router(trained, "linear-stats")
    assert "linear-stats" in refusal(other)
    assert not open_subject(other, (0.7,), untrained=True).trained
    assert FinalJob(other, QUICK, 0.7).run() is not None  # trained again
    assert open_subject(other, (0.7,)).trained


def test_a_pair_of_another_base_of_the_same_shapes_does_not_take_it(trained: RunPair) -> None:
    rewrite_base(trained, lambda about: {**about, "genes": [*about["genes"][:-1], 99]})
    assert "base" in refusal(trained)


def test_a_base_of_other_shapes_is_refused_as_another_pairs(trained: RunPair) -> None:
    """Not as a file that is damaged."""
    path = trained.folder / "base.pt"
    document = torch.load(path, weights_only=True)
    document["about"]["genes"][0] += 1
    document["state_dict"] = {}
    torch.save(document, path)
    assert "base" in refusal(trained)


def test_trainings_of_earlier_versions_are_told_by_their_genes_and_router(trained: RunPair) -> None:
    rewrite_base(trained, lambda about: {key: about[key] for key in ("space", "genes")})
    assert open_subject(trained, (0.7,)).trained
    assert "router" in refusal(with_router(trained, "confidence"))


@pytest.mark.parametrize("earlier", [False, True])
def test_a_pair_of_another_cloud_does_not_take_it(
    joint_run: RunDirectory, tmp_path: Path, earlier: bool
) -> None:
    pair = RunPair(copy_of(joint_run, tmp_path), 1)
    assert FinalJob(pair, QUICK, 0.7).run() is not None
    assert pair.candidate.cloud is not None
    assert read_about(pair.folder / "base.pt")["cloud"] == list(pair.candidate.cloud)
    assert open_subject(pair, (0.7,)).trained
    other = [*pair.candidate.cloud[:-1], 99]
    if earlier:  # cloud.pt alone says it
        rewrite_base(pair, lambda about: {key: about[key] for key in ("space", "genes")})
        assert open_subject(pair, (0.7,)).trained
        smaller = pair.setup.cloud_costs
        assert smaller is not None
        genes = next(
            tuple(row)
            for row in smaller.space.extremes().tolist()
            if tuple(row) != pair.candidate.cloud
        )
        cloud = pair.setup.clouds.model(genes)
        left = open_supernet_cloud(pair.folder / CLOUD_FILE)
        assert cloud is not None
        save_network(pair.folder / CLOUD_FILE, cloud.network, left.info, genes)  # type: ignore[attr-defined]
    else:
        rewrite_base(pair, lambda about: {**about, "cloud": other})
    assert "cloud" in refusal(pair)


def test_an_unfinished_training_of_another_pair_is_not_gone_on_with(
    predictions_run: RunDirectory, tmp_path: Path
) -> None:
    pair = RunPair(copy_of(predictions_run, tmp_path), 1)
    assert FinalJob(pair, QUICK, 0.7).run(stop=lambda: True) is None
    other = with_router(pair, "linear-stats")
    with pytest.raises(InputError, match="another pair") as caught:
        FinalJob(other, QUICK, 0.7).run()
    line = str(caught.value)
    assert "--restart" in line and "\n" not in line
    assert FinalJob(other, QUICK, 0.7).run(restart=True) is not None


def test_an_unfinished_training_of_an_earlier_version_goes_on(
    predictions_run: RunDirectory, tmp_path: Path
) -> None:
    """It names its pair among its origins only."""
    pair = RunPair(copy_of(predictions_run, tmp_path), 1)
    job = FinalJob(pair, QUICK, 0.7)
    assert job.run(stop=lambda: True) is None
    state = torch.load(job.checkpoint, weights_only=True)
    state.pop("pair")
    torch.save(state, job.checkpoint)
    again = FinalJob(RunPair(pair.directory, 1), QUICK, 0.7)
    assert again.run() is not None and len(again.trainer.rounds) == QUICK.rounds + 1


def test_a_pair_whose_folder_is_another_trials_is_not_opened(trained: RunPair) -> None:
    folder = trained.directory.pair(1)
    trained.directory.write_json(folder / "trial.json", {"trial": 77})
    with pytest.raises(InputError, match="trial 77"):
        RunPair(trained.directory, 1).document  # noqa: B018  # reads it
