"""What may stand after ``--supernet`` and ``--unlabelled``."""

from __future__ import annotations

import importlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet import download
from hybrid_nas.supernet.checkpoint import SupernetInfo, save_supernet
from hybrid_nas.supernet.download import PUBLISHED, fetch_published
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.sources import open_supernet
from hybrid_nas.supernet.unlabelled import open_unlabelled

MBV3 = "ofa_mbv3_d234_e346_k357_w1.0"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hybrid-nas"


@pytest.fixture(scope="module")
def published_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as OFA published them, with weights of our own."""
    path = tmp_path_factory.mktemp("published") / "net"
    torch.save({"state_dict": Supernet(load_space("ofa-mbv3-w1.0")).state_dict()}, path)
    return path


def test_a_file_of_ours_says_itself_what_it_is(
    tmp_path: Path, tiny_supernet: Supernet, tiny_file: Path
) -> None:
    path = tmp_path / "mine.pt"
    info = SupernetInfo(str(tiny_file), {}, (16, 16, 3), ("a", "b", "c", "d"), "quadrants", "00")
    save_supernet(path, tiny_supernet, info)
    opened = open_supernet(str(path))
    assert opened.info == info and opened.path == path
    assert opened.fingerprint == sha256_of_file(path)
    assert opened.supernet.space.name == "tiny"


def test_an_ofa_file_needs_its_space(published_file: Path) -> None:
    with pytest.raises(InputError, match=r"name its space with --space .*ofa-mbv3-w1\.0"):
        open_supernet(str(published_file))
    assert open_supernet(str(published_file), space="ofa-mbv3-w1.0").info.space == "ofa-mbv3-w1.0"


def test_an_ofa_file_of_another_space_is_refused(published_file: Path) -> None:
    with pytest.raises(InputError, match=r"does not fit space ofa-proxyless-w1\.3"):
        open_supernet(str(published_file), space="ofa-proxyless-w1.3")


def test_what_is_neither_file_nor_id_is_refused_with_the_ids() -> None:
    with pytest.raises(InputError, match=rf"no supernet at 'nothing'.*{MBV3}"):
        open_supernet("nothing")


def test_every_published_id_has_a_space_of_ours() -> None:
    assert all(load_space(net.space).name == net.space for net in PUBLISHED.values())


def test_a_published_supernet_is_downloaded_once(
    cache: Path, published_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(url: str, folder: Path) -> Path:
        asked.append(url)
        copy = folder / "net"
        copy.write_bytes(published_file.read_bytes())
        return copy

    monkeypatch.setattr(download, "_from_web", fetch)
    first, second = open_supernet(MBV3), open_supernet(MBV3)
    assert asked == [PUBLISHED[MBV3].url]
    assert first.fingerprint == second.fingerprint == sha256_of_file(published_file)
    assert [path.name for path in cache.iterdir()] == [f"{MBV3}.pth"]


def test_without_a_network_one_line_says_how_to_do_without(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure happens inside `ofa`'s own function, which stumbles over its clean-up."""

    def refuse(*_arguments: object) -> None:
        raise URLError("no route")

    tools = importlib.import_module("ofa.utils.common_tools")
    monkeypatch.setattr(tools, "urlretrieve", refuse)
    by_hand = r"no route.*--supernet FILE --space ofa-mbv3"
    with pytest.raises(HybridNasError, match=by_hand) as caught:
        fetch_published(MBV3)
    assert "\n" not in str(caught.value) and caught.value.exit_status == 1
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_damaged_download_is_not_kept(cache: Path, content: bytes) -> None:
    def fetch(_url: str, folder: Path) -> Path:
        (folder / "net").write_bytes(content)
        return folder / "net"

    with pytest.raises(HybridNasError, match="damaged"):
        fetch_published(MBV3, fetch=fetch)
    with pytest.raises(HybridNasError, match="nothing came"):
        fetch_published(MBV3, fetch=lambda _url, _folder: None)
    assert list(cache.iterdir()) == []


# -- unlabelled images


def test_unlabelled_images_of_a_folder_come_in_the_labelled_ones_size(tmp_path: Path) -> None:
    for name, grey in (("a.png", 10), ("deep/er/b.jpg", 200), ("c.txt", None)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if grey is None:
            path.write_text("no image")
        else:
            Image.fromarray(np.full((20, 30, 3), grey, np.uint8)).save(path)
    images = open_unlabelled(str(tmp_path), (16, 16, 3))
    drawn = images.draw(10, seed=0)
    assert images.count == 2 and drawn.shape == (10, 16, 16, 3)
    assert sorted(np.round(drawn.mean((1, 2, 3)), -1).tolist()) == [10] * 5 + [200] * 5
    assert np.array_equal(drawn, open_unlabelled(str(tmp_path), (16, 16, 3)).draw(10, seed=0))
    before = images.fingerprint
    Image.fromarray(np.full((20, 30, 3), 11, np.uint8)).save(tmp_path / "a.png")
    assert open_unlabelled(str(tmp_path), (16, 16, 3)).fingerprint != before


def test_links_are_followed_and_hidden_files_left_out(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root, elsewhere, root / ".cache"):
        folder.mkdir()
        Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(folder / "a.png")
    (root / "._a.png").write_bytes(b"\0\5\x16\7 what other systems leave beside a file")
    (root / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)  # a circle
    images = open_unlabelled(str(root), (8, 8, 3))
    assert images.count == 2 and bool((images.draw(4, 0) == 9).all())


def test_a_broken_unlabelled_image_is_found_by_asking(tmp_path: Path) -> None:
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    open_unlabelled(str(tmp_path), (8, 8, 3)).check_readable()
    broken = tmp_path / "2.png"
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(InputError, match=r"2\.png cannot be read as an image"):
        open_unlabelled(str(tmp_path), (8, 8, 3)).check_readable()


def test_deep_unlabelled_images_become_bytes_as_the_labelled_ones_do(tmp_path: Path) -> None:
    values = np.full((8, 8), 0x0ABC, np.uint16)  # 12 bits
    Image.fromarray(values).save(tmp_path / "a.png")
    images = open_unlabelled(str(tmp_path), (8, 8, 1), deep_bits=12)
    assert bool((images.draw(2, 0) == 0xAB).all())


def test_unlabelled_images_of_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "more.npz"
    np.savez(path, images=np.full((5, 8, 8), 7, np.uint8))
    images = open_unlabelled(str(path), (16, 16, 1))
    assert images.count == 5 and bool((images.draw(3, 1) == 7).all())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((5, 8, 8, 3))}, "must be uint8"),
        ({"images": np.zeros((5, 8, 8, 1), np.uint8)}, "1 channels, the labelled images have 3"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, "must be uint8 of shape"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "must hold the array images"),
    ],
)
def test_other_arrays_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "more.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        open_unlabelled(str(path), (16, 16, 3))


def test_nothing_unlabelled_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no unlabelled images at"):
        open_unlabelled(str(tmp_path / "gone"), (16, 16, 3))
    with pytest.raises(InputError, match="has no images"):
        open_unlabelled(str(tmp_path), (16, 16, 3))
