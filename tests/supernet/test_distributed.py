"""Supernet training in several processes: the same mathematics as in one, and one voice."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributed import TCPStore

from hybrid_nas.cli import main
from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.data.stored import ArrayPixels
from hybrid_nas.errors import InputError
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet.batches import NO_LABEL, TrainingBatches
from hybrid_nas.supernet.checkpoint import read_tensors
from hybrid_nas.supernet.distributed import ALONE, LostProcessError, Team, join_team
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.preprocess import normalise, resize
from hybrid_nas.supernet.recipe import TrainingRecipe
from hybrid_nas.supernet.training import Trainer
from hybrid_nas.supernet.unlabelled import UnlabelledImages
from tests.supernet.conftest import QuadrantData

# 13 images do not divide by two; sandwiches from step 2 on, a new pool every third step; a small
# rate, since float32 sums in another order grow apart fast where batch norm sees few pixels
UNEVEN = TrainingRecipe(
    steps=7, batch=13, pool=39, peak_rate=0.02, warm_up=2, warm_share=0.25, random_subnets=1
)

# -- running a team


def together(size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `function` gives in each of `size` processes that find each other as torchrun's do.

    The exit status stands for a process that gives nothing. Processes are forked from one that has
    the imports done.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "hybrid_nas.cli.supernet_train", "hybrid_nas.training.job"]
    )
    # torchrun, too, keeps the store in its own process, which outlives those that train
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    meet = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": store.port,
        "TORCHELASTIC_USE_AGENT_STORE": True,
    }
    started = []
    for rank in range(size):
        receiver, sender = context.Pipe(duplex=False)
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        target = (place | meet, sender, function, arguments)
        process = context.Process(target=_child, args=target)
        process.start()
        sender.close()
        started.append((process, receiver))
    found = []
    for process, receiver in started:
        try:
            found.append(receiver.recv())
        except EOFError:
            process.join()
            found.append(process.exitcode)
    for process, _ in started:
        process.join()
    return found


def _child(env: dict[str, Any], sender: Any, function: Callable[..., Any], arguments: Any) -> None:
    os.environ.update({name: str(value) for name, value in env.items()})
    torch.set_num_threads(1)
    sender.send(function(*arguments))


def command(folder: Path, argv: list[str], before: Callable[[], None] | None) -> tuple[int, str]:
    """Exit status of the program and what it printed, in one process of a team."""
    if before is not None:
        before()
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(argv)
    except SystemExit as quiet:
        status = int(quiet.code or 0)
    rank = os.environ["RANK"]
    (folder / f"stdout{rank}").write_text(out.getvalue())
    return status, err.getvalue()


# -- the reference: one process, the shares one after the other


class Counting(QuadrantData):
    """Remembers which draws it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds: list[int] = []

    def training_images(self, n: int, seed: int) -> ImageSet:
        self.seeds.append(seed)
        return super().training_images(n, seed)


def oracle(pixels: Tensor) -> Tensor:
    """A teacher: four times the mean brightness of each quadrant."""
    return pixels.float().mean(1).reshape(-1, 2, 8, 2, 8).mean((2, 4)).reshape(-1, 4) / 15


def extra_images() -> UnlabelledImages:
    return UnlabelledImages(ArrayPixels(QuadrantData().training_images(30, 77).images), 30)


def options(taught: bool) -> dict[str, Any]:
    """Of 13 images four are unlabelled: nine labelled ones deal to 5 and 4, all to 7 and 6."""
    return {"teacher": oracle, "unlabelled": extra_images()} if taught else {}


SHARE = 0.3


def reference(space_file: Path, recipe: TrainingRecipe, sizes: list[int], taught: bool) -> Any:
    """Weights when step k's batch is dealt to ``sizes[k]`` shares, whose gradients add up."""
    space = load_space(str(space_file), input_shape=(16, 16, 3), classes=4)
    torch.manual_seed(recipe.seed)
    supernet = Supernet(space).train()
    kernels = [p for p in supernet.parameters() if p.ndim > 1]
    others = [p for p in supernet.parameters() if p.ndim <= 1]
    sgd = torch.optim.SGD(
        [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": others}],
        lr=1.0,
        momentum=recipe.momentum,
        nesterov=True,
    )
    unlabelled = extra_images() if taught else None
    stream = TrainingBatches(
        QuadrantData(), recipe.batch, recipe.pool, recipe.steps, recipe.seed, unlabelled, SHARE
    ).from_step(0)

    def run(genes: Any, pixels: Tensor) -> Tensor:
        supernet.activate(genes)
        return supernet(normalise(resize(pixels, supernet.input_size)))

    for step, size in enumerate(sizes):
        pixels, labels = next(stream)
        rng = np.random.default_rng((recipe.seed, step))
        warm = step < recipe.warm_share * recipe.steps
        smallest, largest = space.extremes()
        resolutions = int(space.sizes[0])
        subnets = [(largest, int(rng.integers(resolutions // 2 if warm else 0, resolutions)))]
        if not warm:
            rows = [smallest, *space.sample(recipe.random_subnets, rng)]
            subnets += [(row, int(rng.integers(0, resolutions))) for row in rows]
        sgd.zero_grad()
        for rank in range(size):
            mine, named = pixels[rank::size], labels[rank::size]
            guide = oracle(mine) if taught else None
            for number, (row, resolution) in enumerate(subnets):
                logits = run((resolution, *row[1:].tolist()), mine)
                smoothing = recipe.label_smoothing if number == 0 else 0.0
                log_p = logits.log_softmax(1)
                known = named != NO_LABEL
                right = log_p[known, named[known]]
                hard = -((1 - smoothing) * right + smoothing * log_p[known].mean(1)).sum()
                loss = hard / int((labels != NO_LABEL).sum())
                if guide is not None:
                    soft = -(guide.softmax(1) * log_p).sum() / len(labels)
                    loss = (1 - recipe.distillation) * loss + recipe.distillation * soft
                loss.backward()
                guide = logits.detach() if number == 0 else guide
        torch.nn.utils.clip_grad_norm_(supernet.parameters(), recipe.gradient_limit)
        for group in sgd.param_groups:
            group["lr"] = recipe.rate(step)
        sgd.step()
    return {name: p.detach() for name, p in supernet.named_parameters()}


def new_trainer(space_file: Path, recipe: TrainingRecipe, team: Team, taught: bool) -> Trainer:
    space = load_space(str(space_file), input_shape=(16, 16, 3), classes=4)
    # processes differ at first on purpose: all must begin as the first stands
    torch.manual_seed(recipe.seed + team.rank)
    return Trainer(
        Supernet(space), Counting(), recipe, unlabelled_share=SHARE, team=team, **options(taught)
    )


def member(
    space_file: Path, recipe: TrainingRecipe, folder: Path, taught: bool, stop_after: int | None
) -> dict[str, Any]:
    """One process's part of a training, which goes on from ``0.training`` if that is there.

    Process 1 alone says stop. Each would write to a file of its own.
    """
    with join_team() as team:
        trainer = new_trainer(space_file, recipe, team, taught)
        path = folder / f"{team.rank}.training"
        if path.exists():
            trainer.restore(path)
        last = team.rank == team.size - 1
        told: list[Any] = []
        trainer.run(path, told.append, stop=lambda: last and trainer.step == stop_after)
        assert isinstance(trainer.data, Counting)
        return {
            "step": trainer.step,
            "losses": [(progress.loss, progress.accuracy) for progress in told],
            "weights": {
                name: p.detach().numpy() for name, p in trainer.supernet.named_parameters()
            },
            "drawn": trainer.data.seeds,
        }


def close(found: dict[str, Any], expected: dict[str, Tensor]) -> None:
    """Equal up to the order of float32 sums over a few steps."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(
            np.asarray(found[name]), value.numpy(), rtol=1e-3, atol=2e-5, err_msg=name
        )


def test_two_processes_train_what_one_trains_on_their_shares_in_turn(
    tiny_file: Path, tmp_path: Path
) -> None:
    """With a teacher and unlabelled images, so that parts of images and of labels differ."""
    found = together(2, member, tiny_file, UNEVEN, tmp_path, True, None)
    close(found[0]["weights"], reference(tiny_file, UNEVEN, [2] * 7, True))
    for name, value in found[0]["weights"].items():
        np.testing.assert_array_equal(found[1]["weights"][name], value)
    assert found[0]["losses"] == found[1]["losses"] and len(found[0]["losses"]) == 7
    # three pools, each drawn once: the first and third here, the second there
    assert (len(found[0]["drawn"]), len(found[1]["drawn"])) == (2, 1)
    assert len({*found[0]["drawn"], *found[1]["drawn"]}) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["0.training"]


@pytest.mark.parametrize("first", [1, 2])
def test_a_training_goes_on_with_another_number_of_processes(
    tiny_file: Path, tmp_path: Path, first: int
) -> None:
    """Stopped by one of them after step 4, in the middle of a pool; here without a teacher."""
    second = 3 - first
    stopped = together(first, member, tiny_file, UNEVEN, tmp_path, False, 4)
    assert [one["step"] for one in stopped] == [4] * first
    resumed = together(second, member, tiny_file, UNEVEN, tmp_path, False, None)
    assert [one["step"] for one in resumed] == [7] * second
    expected = reference(tiny_file, UNEVEN, [first] * 4 + [second] * 3, False)
    close(resumed[0]["weights"], expected)


# -- the parts


def test_without_torchrun_a_process_is_alone_and_every_meeting_trivial() -> None:
    with join_team() as team:
        assert team is ALONE
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.full((2,), 0.1)
    ALONE.sum_gradients([parameter])
    assert parameter.grad.tolist() == torch.full((2,), 0.1).tolist()
    assert ALONE.sums(0.1, 0.2) == (0.1, 0.2) and ALONE.fraction(0.3) == 1.0
    assert ALONE.any(True) and not ALONE.any(False) and ALONE.may_speak() and ALONE.may_speak()
    assert list(ALONE.rows(3)) == [0, 1, 2] and not torch.distributed.is_initialized()


def meetings() -> dict[str, Any]:
    with join_team() as team:
        used, unused = (torch.nn.Parameter(torch.zeros(2, 3, 4, 5)) for _ in range(2))
        values = torch.arange(120.0).reshape(2, 3, 4, 5) * (team.rank + 1)
        used.grad = values.contiguous(memory_format=torch.channels_last)
        team.sum_gradients([unused, used])
        number = torch.tensor([team.rank])
        team.spread([number], 2)
        return {
            "gradient": used.grad.numpy(),
            "untouched": unused.grad is None,
            "number": int(number),
            "fraction": team.fraction(team.rank + 1),
            "any": [team.any(team.rank == 2), team.any(False)],
            "shared": team.share({"from": team.rank, "of": torch.ones(2)})["from"],
            "spoke": team.may_speak(),
        }


def test_processes_meet() -> None:
    found = together(3, meetings)
    total = np.arange(120.0).reshape(2, 3, 4, 5) * 6
    for rank, one in enumerate(found):
        np.testing.assert_array_equal(one["gradient"], total)
        assert one["untouched"] and one["number"] == 2 and one["any"] == [True, False]
        assert one["fraction"] == pytest.approx((rank + 1) / 6) and one["shared"] == 0
    assert sum(one["spoke"] for one in found) == 1


def test_a_share_of_one_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"--batch 7 leaves .* --batch 8 or more, or start fewer"):
        TrainingBatches(QuadrantData(), 7, 21, 7, 0, team=Team(1, 4))
    assert TrainingBatches(QuadrantData(), 8, 24, 7, 0, team=Team(1, 4)).image_share == 0.25


# -- the command


def arguments(space: Path, data: Path, out: Path, *more: object, steps: int = 5) -> list[str]:
    return [
        *("supernet", "train", "--space", str(space), "--data", str(data), "--out", str(out)),
        *("--steps", str(steps), "--batch", "8", "--random-subnets", "0", "--threads", "1"),
        *map(str, more),
    ]


def signal_at(number: int, step: int) -> None:
    """Send process 1 a signal of its own at the end of a step."""
    train_step = Trainer._train_step

    def step_then_signal(self: Trainer, *batch: Tensor) -> tuple[float, float]:
        result = train_step(self, *batch)
        if self.step + 1 == step and self.team.rank == 1:
            os.kill(os.getpid(), number)
        return result

    Trainer._train_step = step_then_signal  # type: ignore[method-assign]


def terminated() -> None:
    signal_at(signal.SIGTERM, 3)


def killed() -> None:
    signal_at(signal.SIGKILL, 3)


def test_a_signal_to_one_process_stops_all_after_the_same_step(
    tiny_file: Path, quadrants_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.pt"
    argv = arguments(tiny_file, quadrants_npz, out)
    found = together(2, command, tmp_path, argv, terminated)
    assert [status for status, _ in found] == [130, 130]
    assert sum(text.count("interrupted") for _, text in found) == 1
    assert "stopped after step 3" in (tmp_path / "stdout0").read_text()
    assert (tmp_path / "stdout1").read_text() == ""
    assert read_tensors(tmp_path / "out.pt.training")["step"] == 3
    assert main(argv) == 0  # one process goes on
    assert "from step 3 to 5" in capsys.readouterr().out and out.exists()


def test_a_killed_process_ends_the_other_with_one_line(
    tiny_file: Path, quadrants_npz: Path, tmp_path: Path
) -> None:
    argv = arguments(tiny_file, quadrants_npz, tmp_path / "out.pt")
    (status, text), other = together(2, command, tmp_path, argv, killed)
    assert (status, other) == (1, -signal.SIGKILL)
    assert "error: another process of this training has ended" in text and text.count("\n") == 1


def elsewhere() -> None:
    """The second machine lacks the data."""
    if os.environ["RANK"] == "1":
        os.chdir("/")


@pytest.mark.parametrize(
    ("flags", "before", "statuses", "message"),
    [
        (["--batch", "3"], None, {2}, "--batch 3 leaves a process fewer than 2 images"),
        (["--resume"], None, {1, 2}, "there is no unfinished training at"),
        (["--data", "quadrants.npz"], elsewhere, {1, 2}, "'quadrants.npz'"),
    ],
)
def test_what_is_wrong_is_said_once(
    tiny_file: Path,
    quadrants_npz: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    before: Callable[[], None] | None,
    statuses: set[int],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    multiprocessing.forkserver.ensure_running()
    argv = arguments(tiny_file, quadrants_npz, tmp_path / "out.pt", *flags)
    found = together(2, command, tmp_path, argv, before)
    said = "".join(text for _, text in found)
    assert message in said and said.count("\n") == 1
    assert {status for status, _ in found} == statuses
    assert not (tmp_path / "out.pt").exists()


def test_torchrun_itself(tiny_file: Path, quadrants_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pt"
    argv = arguments(tiny_file, quadrants_npz, out, "--json")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "hybrid_nas", *argv],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "hybrid-nas/supernet-train/1" and out.exists()
    assert done.stderr.count("2 processes with 1 thread each") == 1
    assert done.stderr.count("5/5 steps") == 1
    assert not (tmp_path / "out.pt.training").exists()


def test_the_recipe_of_a_team_is_checked(tiny_file: Path, tmp_path: Path) -> None:
    said = together(2, other_recipes, tiny_file)
    assert "process 0 trains with another recipe than process 1 (seed was 0, is 1)" in said[1]
    assert "another process" in said[0]


def other_recipes(space_file: Path) -> str:
    with join_team() as team:
        recipe = replace(UNEVEN, seed=team.rank)
        try:
            new_trainer(space_file, recipe, team, False).run()
        except (InputError, LostProcessError) as error:
            return str(error)
    return "nothing was noticed"
