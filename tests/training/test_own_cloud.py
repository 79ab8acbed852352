"""Training and evaluating a pair whose cloud the search chose: it is that cloud, and no other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.evaluation.subject import open_subject
from hybrid_nas.search.run import run_search
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.settings import OWN_SUPERNET
from hybrid_nas.supernet.cloud import SupernetCloud, open_supernet_cloud
from hybrid_nas.training.job import CLOUD_FILE, FinalJob, RunPair
from tests.search.conftest import TinyInputs
from tests.training.conftest import copy_of
from tests.training.test_training import QUICK


@pytest.fixture(scope="module")
def joint_run(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A front whose pairs have clouds of their own."""
    directory = RunDirectory(tmp_path_factory.mktemp("joint") / "a")
    changes = {"search_cloud": OWN_SUPERNET, "cloud": None, "routers": ("linear-features",)}
    run_search(tiny.settings(trials=3, coverages=(0.7,), **changes), directory)
    return directory


def smallest_cloud(run: RunDirectory) -> RunPair:
    """The pair whose cloud is not the run's largest network."""
    pairs = json.loads(run.pareto.read_text())["pairs"]
    return RunPair(run, min(pairs, key=lambda pair: pair["cloud"]["macs"])["id"])


def test_the_pair_has_the_cloud_that_the_search_chose(joint_run: RunDirectory) -> None:
    pair = smallest_cloud(joint_run)
    assert isinstance(pair.cloud, SupernetCloud)
    genes = pair.setup.space.to_dict(pair.cloud.genes)
    assert genes == pair.document["cloud"]["genes"]
    assert pair.cloud.genes != pair.setup.clouds.largest
    assert pair.prices.cloud_macs == pair.document["cloud"]["macs"]

    subject = open_subject(pair, (0.7,))
    assert subject.cloud is pair.cloud
    right = subject.cloud_correct("test")
    assert right is not None
    assert right.mean() == pair.document["cloud"]["test_accuracy"]
    searched = pair.setup.clouds.outputs("test", pair.candidate.cloud)
    assert searched is not None and searched.probs is not None
    probs = pair.cloud.predict(pair.setup.data.split("test")).probs
    np.testing.assert_allclose(probs, searched.probs, atol=1e-4)


@pytest.mark.parametrize("learns", [False, True])
def test_training_leaves_it_beside_the_pair(
    joint_run: RunDirectory, tmp_path: Path, learns: bool
) -> None:
    pair = smallest_cloud(copy_of(joint_run, tmp_path))
    assert isinstance(pair.cloud, SupernetCloud)
    images = pair.setup.data.split("fit")
    before = pair.cloud.predict(images).probs
    job = FinalJob(pair, replace(QUICK, train_cloud=learns, cloud_rate=0.05), 0.7)
    assert job.run() is not None
    left = open_supernet_cloud(pair.folder / CLOUD_FILE)
    after = left.predict(images).probs
    assert left.genes == pair.candidate.cloud and before is not None and after is not None
    changed = not np.allclose(before, after, atol=1e-6)
    assert changed == (learns and job.trainer.best_round.round > 0)
    assert open_subject(pair, (0.7,)).cloud is not None
