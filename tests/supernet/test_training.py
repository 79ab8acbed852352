"""Training: it learns, can be interrupted anywhere, and follows whom it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_nas.data.cloud import CloudOutputs, open_cloud
from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.data.stored import ArrayPixels
from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.supernet.batches import NO_LABEL, TrainingBatches
from hybrid_nas.supernet.checkpoint import load_supernet, read_tensors, to_bytes
from hybrid_nas.supernet.cloud import open_supernet_cloud
from hybrid_nas.supernet.evaluation import evaluate_subnets
from hybrid_nas.supernet.finish import export_trained
from hybrid_nas.supernet.job import TrainingJob, start_from
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.preprocess import to_tensor
from hybrid_nas.supernet.recipe import TrainingRecipe
from hybrid_nas.supernet.teacher import teacher_from_cloud
from hybrid_nas.supernet.training import Trainer, hard_loss, soft_loss
from hybrid_nas.supernet.unlabelled import UnlabelledImages
from tests.supernet.conftest import QuadrantData

BRIEF = TrainingRecipe(steps=8, batch=8, pool=24, warm_up=2, warm_share=0.25, random_subnets=1)
LEARNING = TrainingRecipe(steps=150, batch=32, pool=1600, warm_up=10, random_subnets=1)


def new_trainer(space: SearchSpace, recipe: TrainingRecipe = BRIEF, **options: object) -> Trainer:
    torch.manual_seed(recipe.seed)
    return Trainer(Supernet(space), QuadrantData(), recipe, **options)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.supernet.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def after(steps: int) -> Callable[[], bool]:
    """Says stop after so many steps."""
    count = iter(range(1, 10**6))
    return lambda: next(count) >= steps


# -- interrupting


@pytest.mark.parametrize("first", [1, 2, 5, 7])
def test_an_interrupted_training_ends_in_the_same_bits(
    tiny_space: SearchSpace, tmp_path: Path, first: int
) -> None:
    """Before, at and after the change from the largest alone to sandwiches, and across pools."""
    whole = new_trainer(tiny_space)
    assert whole.run()
    path = tmp_path / "state"
    assert not new_trainer(tiny_space).run(path, stop=after(first))
    resumed = new_trainer(tiny_space)
    resumed.restore(path)
    assert resumed.step == first
    assert resumed.run(path)
    assert same(weights(whole), weights(resumed))


def test_the_seed_decides_the_result(tiny_space: SearchSpace) -> None:
    runs = []
    for seed in (0, 0, 1):
        trainer = new_trainer(tiny_space, replace(BRIEF, seed=seed))
        trainer.run()
        runs.append(weights(trainer))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_a_checkpoint_of_other_settings_is_refused_by_name(
    tiny_space: SearchSpace, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    new_trainer(tiny_space).save(path)
    with pytest.raises(InputError, match=r"another recipe \(batch was 8, is 4\).*--restart"):
        new_trainer(tiny_space, replace(BRIEF, batch=4)).restore(path)
    with pytest.raises(InputError, match=r"another origin \(init was None, is 12\)"):
        new_trainer(tiny_space, origin={"init": "12"}).restore(path)
    elsewhere = Trainer(Supernet(tiny_space), QuadrantData(3), BRIEF)
    with pytest.raises(InputError, match="another data"):
        elsewhere.restore(path)


def test_a_checkpoint_from_before_a_setting_existed_goes_on(
    tiny_space: SearchSpace, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    new_trainer(tiny_space).run(path, stop=after(3))
    state = read_tensors(path)
    del state["origin"], state["recipe"]["label_smoothing"]
    path.write_bytes(to_bytes(state))
    trainer = new_trainer(tiny_space)
    trainer.restore(path)
    assert trainer.step == 3


@pytest.mark.parametrize(
    "change", [{"model": None}, {"model": {}}, {"optimiser": {}}, {"step": "x"}]
)
def test_a_damaged_checkpoint_is_refused_in_one_line(
    tiny_space: SearchSpace, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "checkpoint"
    trainer = new_trainer(tiny_space)
    trainer.save(path)
    document = read_tensors(path) | change
    if None in change.values():
        document.pop("model")
    torch.save(document, path)
    with pytest.raises(InputError, match=r"checkpoint is damaged.*--restart") as caught:
        new_trainer(tiny_space).restore(path)
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_no_number_ends_the_training(tiny_space: SearchSpace) -> None:
    trainer = new_trainer(tiny_space, replace(BRIEF, peak_rate=1e30, gradient_limit=1e30))
    with pytest.raises(HybridNasError, match=r"diverged at step .*--rate.*--restart"):
        trainer.run()


# -- learning


def test_every_kind_of_subnet_learns(tiny_space: SearchSpace, tmp_path: Path) -> None:
    """Four classes: chance is 25 %."""
    trainer = new_trainer(tiny_space, LEARNING)
    trainer.run()
    supernet = trainer.supernet.eval()
    found = list(evaluate_subnets(supernet, QuadrantData(), random_subnets=2))
    assert [subnet.role for subnet in found] == ["largest", "smallest", "random", "random"]
    assert min(subnet.accuracy for subnet in found) > 0.6
    assert found[0].macs > found[1].macs and found[0].params > found[1].params


def test_only_the_largest_learns_at_first(tiny_space: SearchSpace) -> None:
    """Small kernels are made of large ones by matrices, which the largest network does not use."""
    trainer = new_trainer(tiny_space, replace(BRIEF, warm_share=0.5, weight_decay=0.0))
    before = weights(trainer)
    trainer.run(stop=after(4))
    matrices = [name for name in before if name.endswith("_matrix")]
    assert matrices
    middle = weights(trainer)
    assert all(torch.equal(before[name], middle[name]) for name in matrices)
    assert not torch.equal(
        before["first_conv.conv.conv.weight"], middle["first_conv.conv.conv.weight"]
    )
    trainer.run()
    assert not all(torch.equal(middle[name], weights(trainer)[name]) for name in matrices)


def test_progress_is_told_after_every_step(tiny_space: SearchSpace) -> None:
    told = []
    new_trainer(tiny_space).run(report=told.append)
    assert [p.step for p in told] == list(range(1, 9))
    assert all(p.steps == 8 and np.isfinite([p.loss, p.images_per_s]).all() for p in told)


def test_the_rate_rises_then_falls_to_zero() -> None:
    rates = [TrainingRecipe(steps=1000, peak_rate=0.4).rate(k) for k in range(1001)]
    assert rates[199] == pytest.approx(0.4) and max(rates) == pytest.approx(0.4)
    assert rates[600] == pytest.approx(0.2) and rates[1000] == pytest.approx(0.0, abs=1e-12)
    assert np.all(np.diff(rates[:200]) > 0) and np.all(np.diff(rates[200:]) < 0)


# -- losses and batches


def test_images_without_a_label_count_in_the_soft_loss_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, guide = torch.randn(2, 6, 4, generator=generator)
    labels = torch.tensor([0, 3, NO_LABEL, 1, NO_LABEL, NO_LABEL])
    log_p = logits.double().log_softmax(1).numpy()
    named = labels.numpy() >= 0
    hard = -log_p[named, labels.numpy()[named]].mean()
    assert float(hard_loss(logits, labels)) == pytest.approx(hard, rel=1e-5)
    smooth = 0.9 * hard - 0.1 * log_p[named].mean()
    assert float(hard_loss(logits, labels, smoothing=0.1)) == pytest.approx(smooth, rel=1e-5)
    q = np.exp(guide.double().numpy())
    q /= q.sum(1, keepdims=True)
    soft = -(q * log_p).sum(1).mean()
    assert float(soft_loss(logits, guide)) == pytest.approx(soft, rel=1e-5)


def unlabelled_images(n: int = 30) -> UnlabelledImages:
    images = QuadrantData().training_images(n, 77).images
    return UnlabelledImages(ArrayPixels(images), n)


@pytest.mark.parametrize("unlabelled", [None, unlabelled_images()])
def test_a_step_s_batch_depends_on_its_number_alone(unlabelled: UnlabelledImages | None) -> None:
    batches = TrainingBatches(
        QuadrantData(), batch=8, pool=24, steps=100, seed=3, unlabelled=unlabelled, share=0.25
    )
    whole = batches.from_step(0)
    in_order = [next(whole) for _ in range(8)]
    for start in (1, 3, 7):
        pixels, labels = next(batches.from_step(start))
        assert torch.equal(pixels, in_order[start][0])
        assert torch.equal(labels, in_order[start][1])
    assert not torch.equal(in_order[0][0], in_order[3][0])  # of the next pool


@pytest.mark.parametrize(("share", "expected"), [(0.25, 2), (0.5, 4), (0.01, 1), (0.99, 7)])
def test_unlabelled_images_take_their_share_of_every_batch(share: float, expected: int) -> None:
    batches = TrainingBatches(
        QuadrantData(), 8, 24, 100, 0, unlabelled=unlabelled_images(), share=share
    )
    stream = batches.from_step(0)
    for _ in range(5):
        pixels, labels = next(stream)
        assert pixels.shape == (8, 3, 16, 16) and pixels.dtype == torch.uint8
        assert int((labels == NO_LABEL).sum()) == expected


# -- teachers


class Oracle:
    """A cloud that finds the bright quadrant, and counts what it was asked."""

    name = "oracle"
    fingerprint = "oracle"

    def __init__(self, classes: int = 4) -> None:
        self.classes, self.asked = classes, 0

    def predict(self, images: ImageSet) -> CloudOutputs:
        self.asked += len(images)
        grey = images.images.astype(float).mean(-1)
        light = grey.reshape(-1, 2, 8, 2, 8).mean((2, 4)).reshape(-1, 4)[:, : self.classes]
        pred = light.argmax(1)
        return CloudOutputs(pred, np.eye(self.classes)[pred])


def test_a_teacher_alone_teaches_when_no_image_has_a_true_label(tiny_space: SearchSpace) -> None:
    """Labels are shuffled and count for nothing (distillation 1): the teacher taught it all."""

    class Mislabelled(QuadrantData):
        def training_images(self, n: int, seed: int) -> ImageSet:
            images = super().training_images(n, seed)
            wrong = np.random.default_rng(seed).permutation(images.labels)
            return ImageSet(images.images, wrong, images.groups)

    data, oracle = Mislabelled(), Oracle()
    torch.manual_seed(0)
    trainer = Trainer(
        Supernet(tiny_space),
        data,
        replace(LEARNING, distillation=1.0),
        teacher=teacher_from_cloud(oracle, data),
        unlabelled=unlabelled_images(400),
    )
    trainer.run()
    assert oracle.asked == 1 + 150 * 32
    found = list(evaluate_subnets(trainer.supernet.eval(), data, random_subnets=0))
    assert min(subnet.accuracy for subnet in found) > 0.6


def test_unlabelled_images_need_a_teacher(tiny_space: SearchSpace) -> None:
    with pytest.raises(InputError, match="--unlabelled needs --teacher"):
        new_trainer(tiny_space, unlabelled=unlabelled_images())


def test_a_teacher_of_other_classes_is_refused() -> None:
    with pytest.raises(InputError, match="oracle tells 3 classes apart, quadrants has 4"):
        teacher_from_cloud(Oracle(3), QuadrantData())


def test_stored_predictions_cannot_teach(quadrants_npz: Path, tmp_path: Path) -> None:
    from hybrid_nas.data.sources import open_dataset

    data = open_dataset(str(quadrants_npz))
    path = tmp_path / "answers.npz"
    np.savez(path, **{f"{p}_pred": np.zeros(240, np.int64) for p in ("val", "test")})
    with pytest.raises(InputError, match=r"answers\.npz.*--teacher takes a model"):
        teacher_from_cloud(open_cloud(str(path), data), data)


def test_a_teacher_s_probabilities_come_back_from_its_logits() -> None:
    data, oracle = QuadrantData(), Oracle()
    images = data.training_images(12, 5)
    logits = teacher_from_cloud(oracle, data)(to_tensor(images.images))
    probs = oracle.predict(images).probs
    np.testing.assert_allclose(logits.softmax(1).numpy(), probs, atol=1e-5)


# -- finishing


def finished_job(tiny_file: Path, out: Path, **options: object) -> TrainingJob:
    job = TrainingJob(str(tiny_file), QuadrantData(), BRIEF, out, **options)
    trainer = job.trainer()
    assert trainer.run(job.checkpoint)
    job.finish(trainer)
    return job


def test_a_job_trains_what_the_same_lines_by_hand_train(
    tiny_file: Path, tiny_space: SearchSpace, tmp_path: Path
) -> None:
    """Seed, then the network, then the trainer: nothing in between draws random numbers."""
    job = TrainingJob(str(tiny_file), QuadrantData(), BRIEF, tmp_path / "out.pt")
    trainer = job.trainer()
    trainer.run()
    by_hand = new_trainer(tiny_space)
    by_hand.run()
    assert same(weights(trainer), weights(by_hand))


def test_the_file_has_the_largest_network_s_own_statistics(tiny_file: Path, tmp_path: Path) -> None:
    """Fresh statistics on the same images change nothing: a cloud model needs none of its own."""
    finished_job(tiny_file, tmp_path / "out.pt")
    supernet, info = load_supernet(tmp_path / "out.pt")
    largest = next(evaluate_subnets(supernet, QuadrantData(), recalibrated=False))
    again = next(evaluate_subnets(supernet, QuadrantData()))
    assert (largest.role, largest.accuracy) == ("largest", pytest.approx(again.accuracy, abs=0.06))
    assert info.recipe["steps"] == 8 and info.data == "quadrants"
    cloud = open_supernet_cloud(tmp_path / "out.pt")
    images = QuadrantData().split("score")
    outputs = cloud.predict(images)
    assert float((outputs.pred == images.labels).mean()) == largest.accuracy


def test_a_finished_checkpoint_exports_to_the_file_that_the_job_writes(
    tiny_file: Path, tmp_path: Path
) -> None:
    job = TrainingJob(str(tiny_file), QuadrantData(), BRIEF, tmp_path / "job.pt")
    trainer = job.trainer()
    trainer.run(job.checkpoint)
    info = export_trained(
        job.checkpoint, tmp_path / "exported.pt", space=str(tiny_file), data=QuadrantData()
    )
    job.finish(trainer)
    assert info == job.info
    mine, theirs = (read_tensors(tmp_path / f"{name}.pt") for name in ("exported", "job"))
    assert mine["info"] == theirs["info"]
    assert same(mine["state_dict"], theirs["state_dict"])
    assert not job.checkpoint.exists()


def test_an_unfinished_checkpoint_is_not_exported(tiny_file: Path, tmp_path: Path) -> None:
    job = TrainingJob(str(tiny_file), QuadrantData(), BRIEF, tmp_path / "job.pt")
    job.trainer().run(job.checkpoint, stop=after(3))
    with pytest.raises(InputError, match="step 3 of 8"):
        export_trained(job.checkpoint, job.out, space=str(tiny_file), data=QuadrantData())
    other = QuadrantData()
    other.fingerprint = "another"
    with pytest.raises(InputError, match="another data than quadrants"):
        export_trained(job.checkpoint, job.out, space=str(tiny_file), data=other)
    with pytest.raises(InputError, match="another space than"):
        export_trained(job.checkpoint, job.out, space=str(tiny_file), data=QuadrantData(3))
    assert not job.out.exists()


def test_another_task_s_supernet_gives_all_but_the_head(tiny_file: Path, tmp_path: Path) -> None:
    """Three classes instead of four, and another resolution."""
    first = finished_job(tiny_file, tmp_path / "first.pt")
    source, _ = load_supernet(first.out)
    job = TrainingJob(
        str(tiny_file),
        QuadrantData(3),
        BRIEF,
        tmp_path / "second.pt",
        choices={"resolution": [8]},
        init=first.out,
    )
    mine = job.trainer().supernet.state_dict()
    head = [name for name in mine if name.startswith("classifier.")]
    assert mine[head[0]].shape[0] == 3
    assert all(torch.equal(mine[k], t) for k, t in source.state_dict().items() if k not in head)
    assert "init" in job.info.recipe


def test_weights_of_another_space_do_not_initialise(tiny_file: Path, tmp_path: Path) -> None:
    first = finished_job(tiny_file, tmp_path / "first.pt")
    other = TrainingJob(
        str(tiny_file), QuadrantData(), BRIEF, tmp_path / "x.pt", choices={"width": [1.0]}
    )
    with pytest.raises(InputError, match=r"--init: .*first\.pt does not fit space tiny.*classes"):
        start_from(Supernet(other.search_space), first.out)
