"""Folders of pairs when a resumed search numbers its front anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.evaluation.looks import count_looks
from hybrid_nas.search.pair_folders import FILE, SEARCHED, check_folder, settle, trial_of
from hybrid_nas.search.run import run_search, settings_to_resume
from hybrid_nas.search.rundir import RunDirectory
from tests.search.conftest import TinyInputs


class Killed(BaseException):
    """What a test ends a process with."""


def trials_of(directory: RunDirectory) -> dict[int, int]:
    """Trials by number of the pair."""
    pairs = json.loads(directory.pareto.read_text())["pairs"]
    return {pair["id"]: pair["trial"] for pair in pairs}


def write_front(directory: RunDirectory, trials: list[int]) -> None:
    """As much of a finished search as folders depend on."""
    pairs = [{"id": number, "trial": trial} for number, trial in enumerate(trials, 1)]
    directory.write_json(directory.pareto, {"pairs": pairs})


def write_made(folder: Path, trial: int) -> None:
    """Something that was made of a pair."""
    (folder / "trained").mkdir(parents=True)
    (folder / "trained" / "base.pt").write_text(str(trial))


def made(directory: RunDirectory) -> dict[str, int]:
    """Of which pair it is what lies in each folder."""
    files = (directory.path / "pairs").glob("*/trained/base.pt")
    return {path.parents[1].name: int(path.read_text()) for path in files}


def test_what_was_made_of_a_pair_goes_with_it_when_a_search_is_resumed(
    tiny: TinyInputs, tmp_path: Path
) -> None:
    directory = RunDirectory(tmp_path / "run")
    run_search(tiny.settings(trials=2), directory)
    before = trials_of(directory)
    for number, trial in before.items():
        write_made(directory.pair(number), trial)
    run_search(settings_to_resume(directory, {"trials": 12}), directory, resume=True)
    after = trials_of(directory)
    assert any(after.get(number) != trial for number, trial in before.items())
    numbers = {trial: str(number) for number, trial in after.items()}
    expected = {numbers.get(t, f"former-trial-{t}"): t for t in before.values()}
    assert made(directory) == expected
    for number, trial in after.items():
        assert trial_of(directory.pair(number)) == trial
    names = {path.name for path in (directory.path / "pairs").iterdir()}
    assert names == set(map(str, after)) | expected.keys()


def test_a_fresh_pair_has_what_the_search_wrote_and_no_more(
    tiny: TinyInputs, tmp_path: Path
) -> None:
    """What is taken for the search's own is all it writes: else folders were never removed."""
    directory = RunDirectory(tmp_path / "run")
    changes: dict[str, Any] = {"search_cloud": "own", "cloud": None, "trials": 1}
    run_search(tiny.settings(**changes), directory)
    assert {path.name for path in directory.pair(1).iterdir()} == SEARCHED


def test_pairs_trade_numbers(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    settle(directory, [4, 7, 2])
    for number, trial in ((1, 4), (2, 7), (3, 2)):
        write_made(directory.pair(number), trial)
    settle(directory, [7, 4])
    assert made(directory) == {"1": 7, "2": 4, "former-trial-2": 2}
    settle(directory, [9, 4])
    assert made(directory) == {"2": 4, "former-trial-7": 7, "former-trial-2": 2}
    assert trial_of(directory.pair(1)) == 9


def test_folders_without_anything_made_of_the_pair_are_not_kept(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    settle(directory, [0, 1])
    directory.write_json(directory.pair(2) / "curves.json", {})
    settle(directory, [5])
    assert [path.name for path in (tmp_path / "pairs").iterdir()] == ["1"]


def test_a_run_of_an_earlier_version_says_by_its_front_what_is_whose(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    write_front(directory, [3, 8])
    write_made(directory.pair(1), 3)
    write_made(directory.pair(2), 8)
    write_made(directory.pair(6), 99)  # an earlier resuming left it: of a pair nobody knows
    settle(directory, [8, 10])
    assert made(directory) == {"1": 8, "former-trial-3": 3, "former-pair-6": 99}


def test_nothing_that_stands_aside_is_replaced(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    write_made(tmp_path / "pairs" / "former-trial-3", 0)
    settle(directory, [5])
    directory.write_json(directory.pair(1) / FILE, {"trial": 3})
    write_made(directory.pair(1), 3)
    settle(directory, [5])
    assert made(directory) == {"former-trial-3": 0, "former-trial-3-2": 3}


@pytest.mark.parametrize("named", [True, False])
def test_killed_at_any_move_the_next_one_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """Whatever the next front is then, which may have grown since."""
    rng, rename, left = np.random.default_rng(0), Path.rename, [0]

    def dying(path: Path, target: Path) -> Path:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", dying)
    killed = 0
    for case in range(60):
        directory = RunDirectory(tmp_path / str(case))
        fronts = [rng.permutation(8)[: rng.integers(1, 6)].tolist() for _ in range(3)]
        write_front(directory, fronts[0])
        if named:
            settle(directory, fronts[0])
        for number, trial in enumerate(fronts[0], 1):
            write_made(directory.pair(number), trial)
        left[0] = int(rng.integers(0, 6))
        try:
            settle(directory, fronts[1])
        except Killed:
            killed += 1
        left[0] = 100
        settle(directory, fronts[2])
        numbers = {trial: str(number) for number, trial in enumerate(fronts[2], 1)}
        assert made(directory) == {numbers.get(t, f"former-trial-{t}"): t for t in fronts[0]}
        left[0] = 0
        settle(directory, fronts[2])  # moves nothing: each is where it belongs
    assert killed > 20


def test_a_folder_moved_before_the_front_was_written_is_refused(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    settle(directory, [0])
    check_folder(directory, 1, 0)
    check_folder(directory, 2, 5)  # of an earlier version: it does not say
    settle(directory, [4, 0])
    with pytest.raises(InputError, match="--resume") as caught:
        check_folder(directory, 1, 0)
    assert "trial 4" in str(caught.value) and "\n" not in str(caught.value)


def test_looks_at_the_test_split_by_pairs_that_left_still_count(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    settle(directory, [0])
    looks = {"test_split": {"history": [{"when": "2026-01-01", "base": "untrained"}]}}
    directory.write_json(directory.pair(1) / "evaluation.json", looks)
    settle(directory, [1])
    found = count_looks(directory, 1)
    assert (found.this_pair, found.other_pairs) == ((), 1)
