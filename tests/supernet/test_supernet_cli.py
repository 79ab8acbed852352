"""``hybrid-nas supernet train``, ``evaluate`` and ``info`` as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from hybrid_nas.cli.interrupt import stop_on_interrupt
from hybrid_nas.cli.progress import progress_bar
from hybrid_nas.cli.supernet import read_numbers
from hybrid_nas.cli.supernet_train import TrainFlags
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.errors import InputError
from hybrid_nas.supernet.checkpoint import load_supernet, read_tensors
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.recipe import TrainingRecipe
from hybrid_nas.supernet.training import Trainer

Run = Callable[..., int]


@pytest.fixture
def train(hybrid_nas: Run, tiny_file: Path, quadrants_npz: Path, tmp_path: Path) -> Run:
    """``supernet train`` on the quadrants, to `tmp_path`/out.pt."""

    def run(*arguments: object, steps: int = 6, space: object = tiny_file) -> int:
        return hybrid_nas(
            "train", "--space", space, "--data", quadrants_npz, "--out", tmp_path / "out.pt",
            "--steps", steps, "--batch", 8, "--threads", 1, *arguments,
        )  # fmt: skip

    return run


def test_train_evaluate_and_info_go_together(
    train: Run, hybrid_nas: Run, quadrants_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out.pt"
    assert train("--json") == 0
    captured = capsys.readouterr()
    trained = json.loads(captured.out)
    assert trained["schema"] == "hybrid-nas/supernet-train/1"
    assert [s["role"] for s in trained["subnets"]] == ["largest", "smallest", "random", "random"]
    assert "6/6 steps" in captured.err
    assert not (tmp_path / "out.pt.training").exists()

    assert hybrid_nas("info", out, "--json") == 0
    info = json.loads(capsys.readouterr().out)
    assert info["fingerprint"] == trained["fingerprint"]
    assert info["recipe"]["steps"] == 6 and info["data"] == "quadrants.npz"
    assert info["data_fingerprint"] == open_dataset(str(quadrants_npz)).fingerprint

    assert hybrid_nas(
        "evaluate", "--supernet", out, "--data", quadrants_npz, "--random", 1, "--images", 30,
        "--threads", 1, "--json",
    ) == 0  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert document["recalibrated"] and document["split"] == "score"
    assert all(0 <= s["accuracy"] <= 1 and s["images"] == 30 for s in document["subnets"])

    assert hybrid_nas("evaluate", "--supernet", out, "--data", quadrants_npz, "--random", 1,
                      "--threads", 1, "--no-recalibrate") == 0  # fmt: skip
    text = capsys.readouterr().out
    assert "largest" in text and "smallest" in text and "without recalibration" in text
    assert hybrid_nas("info", out) == 0
    assert "tiny.yaml" in capsys.readouterr().out


def test_the_command_trains_what_the_recipe_s_defaults_train(
    train: Run, tiny_file: Path, quadrants_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """With the same number of steps, the lines below and the command give the same bits."""
    assert train(steps=30) == 0
    data = open_dataset(str(quadrants_npz))
    recipe = TrainingRecipe(steps=30, batch=8, warm_up=3)
    torch.manual_seed(recipe.seed)
    supernet, _ = load_supernet(tmp_path / "out.pt")
    torch.manual_seed(recipe.seed)
    by_hand = Supernet(supernet.space)
    Trainer(by_hand, data, recipe).run()
    for name, tensor in by_hand.state_dict().items():
        if tensor.ndim > 1:
            assert torch.equal(supernet.state_dict()[name], tensor.half().float()), name


def test_a_full_length_training_uses_the_recipe_s_own_warm_up() -> None:
    flags = TrainFlags(
        space="mcunet", out=Path("x"), steps=5600, batch=64, rate=0.1, warm_share=0.15,
        random_subnets=2, choices={}, init=None, teacher=None,
        teacher_normalisation="half", unlabelled=None, unlabelled_share=0.5, seed=0, resume=None,
    )  # fmt: skip
    assert flags.recipe() == TrainingRecipe(
        steps=5600, peak_rate=0.1, warm_share=0.15, batch=64, random_subnets=2
    )


def interrupt_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C once during a step."""
    once = [True]
    train_step = Trainer._train_step

    def step_then_signal(self: Trainer, *arguments: torch.Tensor) -> tuple[float, float]:
        result = train_step(self, *arguments)
        if self.step + 1 == step and once:
            once.clear()
            os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(Trainer, "_train_step", step_then_signal)


def test_ctrl_c_keeps_the_training_and_the_same_command_goes_on(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out, unfinished = tmp_path / "out.pt", tmp_path / "out.pt.training"
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        interrupt_after(4, patched)
        assert train() == 130
    captured = capsys.readouterr()
    assert "stopped after step 4" in captured.out and "out.pt.training" in captured.out
    assert captured.err.count("\n") == 1
    assert read_tensors(unfinished)["step"] == 4 and not out.exists()
    assert signal.getsignal(signal.SIGINT) is handler

    assert train() == 0
    assert "going on with tiny" in capsys.readouterr().out
    resumed = read_tensors(out)["state_dict"]
    out.unlink()
    assert train("--restart") == 0
    whole = read_tensors(out)["state_dict"]
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_an_unfinished_training_of_other_settings_is_not_lost(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        assert train() == 130
    before = (tmp_path / "out.pt.training").read_bytes()
    capsys.readouterr()
    assert train(steps=7) == 2
    assert "steps was 6, is 7" in capsys.readouterr().err
    assert (tmp_path / "out.pt.training").read_bytes() == before
    assert train("--restart", steps=7) == 0
    assert load_supernet(tmp_path / "out.pt")[1].recipe["steps"] == 7


def test_a_finished_file_is_neither_trained_again_nor_overwritten(
    train: Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert train() == 0
    content = (tmp_path / "out.pt").read_bytes()
    capsys.readouterr()
    assert train() == 0
    assert "trained with these settings already" in capsys.readouterr().out
    assert train("--seed", 5) == 2
    assert "other settings: give another --out, or --restart" in capsys.readouterr().err
    (tmp_path / "out.pt").write_bytes(b"my thesis")
    assert train() == 2
    assert (tmp_path / "out.pt").read_bytes() == b"my thesis"
    assert train("--restart") == 0
    assert (tmp_path / "out.pt").read_bytes() == content


def test_teacher_unlabelled_init_and_narrowed_choices_work_together(
    train: Run, tmp_path: Path, quadrants: object, capsys: pytest.CaptureFixture
) -> None:
    assert train() == 0
    cloud = tmp_path / "cloud.pt"
    (tmp_path / "out.pt").rename(cloud)
    more = tmp_path / "more.npz"
    np.savez(more, images=quadrants.training_images(20, 9).images)
    assert train(
        "--teacher", cloud, "--unlabelled", more, "--unlabelled-share", 0.25, "--init", cloud,
        "--resolutions", "12,16", "--widths", "0.2 0.3",
    ) == 0  # fmt: skip
    info = load_supernet(tmp_path / "out.pt")[1]
    assert info.choices == {"resolution": [12, 16], "width": [0.2, 0.3]}
    assert set(info.recipe) >= {"init", "teacher", "unlabelled", "unlabelled_share"}
    capsys.readouterr()
    assert train("--widths", "0.2", "--init", cloud, "--restart") == 2
    assert "does not fit space tiny" in capsys.readouterr().err


def test_unlabelled_copies_of_held_out_images_are_noted(
    train: Run, tmp_path: Path, quadrants_npz: Path, capsys: pytest.CaptureFixture
) -> None:
    assert train() == 0
    cloud = tmp_path / "cloud.pt"
    (tmp_path / "out.pt").rename(cloud)
    with np.load(quadrants_npz) as arrays:
        held_out, trained = arrays["x_test"][:5], arrays["x_train"][:7]
    more = tmp_path / "more.npz"
    np.savez(more, images=np.concatenate([held_out, trained]))
    capsys.readouterr()
    assert train("--teacher", cloud, "--unlabelled", more) == 0
    assert "note: 5 of the 12 unlabelled images are held-out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resolutions", "3,x"], "is no list of numbers"),
        (["--resolutions", "16,16"], "resolution must be a list of different numbers"),
        (["--rate", "0"], "--rate must be a number above 0"),
        (["--rate", "nan"], "--rate must be a number above 0 (got nan)"),
        (["--rate", "inf"], "--rate must be a number above 0 (got inf)"),
        (["--seed", "18446744073709551616"], "--seed"),
        (["--batch", "1"], "--batch"),
        (["--init", "gone.pt"], "--init: no checkpoint at gone.pt"),
        (["--teacher", "gone.pt"], "no cloud model at 'gone.pt'"),
        (["--unlabelled", "."], "--unlabelled needs --teacher"),
        (["--unlabelled-share", "1.5"], "--unlabelled-share must lie between 0 and 1"),
        (["--device", "tpu"], "--device must be one of auto, cpu, cuda"),
        (["--resume"], "there is no unfinished training at"),
        (["--image-size", "big"], "image size 'big'"),
    ],
)
def test_wrong_flags_end_with_one_line_and_nothing_written(
    train: Run, tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], message: str
) -> None:
    assert train(*flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.glob("out.pt*"))


def test_an_unknown_space_and_split_are_named(
    train: Run, hybrid_nas: Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert train(space="nowhere") == 2
    assert "no search space 'nowhere'" in capsys.readouterr().err
    assert hybrid_nas("evaluate", "--threads", 1, "--split", "all") == 2
    assert "--split must be one of train, fit" in capsys.readouterr().err
    assert hybrid_nas("evaluate", "--threads", 1, "--supernet", tmp_path / "x.pt") == 2
    assert "no supernet at" in capsys.readouterr().err


def test_info_speaks_of_a_file_whose_space_has_moved(
    train: Run, hybrid_nas: Run, tmp_path: Path, tiny_file: Path, capsys: pytest.CaptureFixture
) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text(tiny_file.read_text())
    assert train(space=space) == 0
    space.unlink()
    capsys.readouterr()
    assert hybrid_nas("info", tmp_path / "out.pt") == 0
    assert "unknown, as the space is not to be had from here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"), [("32", (32,)), ("32,48", (32, 48)), (" 0.5, 1 ", (0.5, 1))]
)
def test_lists_of_numbers_are_read(text: str, expected: tuple[float, ...]) -> None:
    assert read_numbers(text) == expected


@pytest.mark.parametrize("text", ["", ",", "-1", "1e3", "nan", "0", "32,0.0"])
def test_other_lists_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="no list of numbers"):
        read_numbers(text)


def test_a_second_interrupt_does_not_wait_for_the_step() -> None:
    with stop_on_interrupt() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_beside_the_main_thread_interrupts_are_left_alone() -> None:
    answers = []

    def ask() -> None:
        with stop_on_interrupt() as stop:
            answers.append(stop())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == [False]


def test_a_terminal_gets_a_bar() -> None:
    screen = StringIO()
    terminal = Console(file=screen, force_terminal=True, width=120)
    with progress_bar(terminal, "training", "steps", done=3) as show:
        show(4, 9, "loss 1.250, 321 images/s")
    assert "4/9" in screen.getvalue() and "loss 1.250, 321 images/s" in screen.getvalue()
