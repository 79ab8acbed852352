"""Image folders: what is read from them, and one line for each thing wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid_nas.data.folder import FolderDataset
from hybrid_nas.data.image_files import Decoding
from hybrid_nas.errors import InputError

FolderMaker = Callable[..., Path]


def _refusal(root: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        dataset = FolderDataset(root, **options)  # type: ignore[arg-type]
        dataset.split("train")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_images_and_labels_are_those_of_the_files(make_folder: FolderMaker) -> None:
    root = make_folder()
    dataset = FolderDataset(root)
    train = dataset.split("train")
    files = sorted((root / "train" / "cat").iterdir()) + sorted((root / "train" / "dog").iterdir())
    assert dataset.name == "photos" and dataset.classes == ("cat", "dog")
    assert dataset.image_shape == (12, 16, 3)
    assert train.labels.tolist() == [0] * 6 + [1] * 6
    for image, file in zip(train.images, files, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(file)))


def test_images_are_decoded_when_asked_for_and_once(
    make_folder: FolderMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    original = Decoding.decode

    def counting(decoding: Decoding, path: Path) -> np.ndarray:
        decoded.append(path)
        return original(decoding, path)

    monkeypatch.setattr(Decoding, "decode", counting)
    dataset = FolderDataset(make_folder())
    assert decoded == []
    dataset.training_images(5, seed=0)
    assert len(decoded) == 5
    dataset.split("train")
    dataset.training_images(40, seed=1)
    assert len(decoded) == len(set(decoded)) == 12


def test_all_grey_stays_one_channel_and_one_colour_image_makes_three(
    make_folder: FolderMaker,
) -> None:
    grey = FolderDataset(make_folder(mode="L", name="grey"))
    assert grey.image_shape == (12, 16, 1)
    root = make_folder(mode="L", name="mixed")
    Image.new("RGB", (16, 12), (200, 10, 30)).save(root / "val" / "dog" / "user0_000.png")
    mixed = FolderDataset(root)
    assert mixed.image_shape == (12, 16, 3)
    train = mixed.split("train").images
    assert np.array_equal(train[..., 0], train[..., 2])


def test_sixteen_bit_grey_keeps_its_high_byte(make_folder: FolderMaker) -> None:
    root = make_folder(mode="L")
    deep = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) * 300
    Image.fromarray(deep).save(root / "train" / "cat" / "user0_000.png")
    dataset = FolderDataset(root)
    assert dataset.image_shape == (12, 16, 1)
    assert np.array_equal(dataset.split("train").images[0, ..., 0], deep >> 8)


def test_sixteen_bit_grey_of_fewer_bits_keeps_the_highest_that_training_uses(
    make_folder: FolderMaker,
) -> None:
    root = make_folder(mode="L")
    values = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16)
    for pool, step in (("train", 21), ("val", 42)):  # 12 bits, and brighter ones
        for path in sorted((root / pool).glob("*/*.png")):
            Image.fromarray(values * step).save(path)
    dataset = FolderDataset(root)
    assert np.array_equal(dataset.split("train").images[0, ..., 0], values * 21 >> 4)
    other = dataset.split("fit").images[0, ..., 0]
    assert np.array_equal(other, np.minimum(values * 42 >> 4, 255))
    assert "16-bit images use 12 bits in train" in " ".join(dataset.warnings)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_white(make_folder: FolderMaker, mode: str) -> None:
    root = make_folder(mode="L" if mode == "LA" else "RGB")
    path = root / "train" / "cat" / "user0_000.png"
    shape = Image.new("RGBA", (16, 12), (0, 0, 0, 0))
    shape.paste((0, 0, 0, 255), (4, 3, 8, 9))
    if mode == "P":
        indexed = Image.new("P", (16, 12), 0)
        indexed.putpalette([9, 9, 9, 0, 0, 0])
        indexed.paste(1, (4, 3, 8, 9))
        indexed.save(path, transparency=0)
    else:
        shape.convert(mode).save(path)
    dataset = FolderDataset(root)
    expected = np.full((12, 16), 255, np.uint8)
    expected[3:9, 4:8] = 0
    pixels = dataset.split("train").images[0]
    assert pixels.shape[2] == (1 if mode == "LA" else 3)
    assert all(np.array_equal(pixels[..., k], expected) for k in range(pixels.shape[2]))
    assert "files with transparency: 1" in " ".join(dataset.warnings)


def test_photos_turned_by_their_exif_tag_are_upright(make_folder: FolderMaker) -> None:
    root = make_folder(suffix=".webp", mode="RGB")
    lying = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show
    lying.save(root / "train" / "cat" / "user0_000.webp", exif=exif, lossless=True)
    assert FolderDataset(root).image_shape == (40, 20, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".bmp", ".webp", ".PNG"])
def test_the_usual_formats_are_read(make_folder: FolderMaker, suffix: str) -> None:
    assert len(FolderDataset(make_folder(suffix=suffix)).split("train")) == 12


def test_size_is_the_first_images_and_capped_which_is_said(make_folder: FolderMaker) -> None:
    same = FolderDataset(make_folder(name="same"))
    assert not any("resized" in note for note in same.warnings)
    big = FolderDataset(make_folder(size=(90, 120), name="big"))
    assert big.image_shape == (72, 96, 3)
    assert any("72x96" in note and "--image-size" in note for note in big.warnings)
    root = make_folder(name="differing")
    Image.new("RGB", (50, 50)).save(root / "val" / "cat" / "user0_000.png")
    differing = FolderDataset(root)
    assert differing.image_shape == (12, 16, 3)
    assert any("12x16" in note for note in differing.warnings)


def test_a_given_size_is_taken(make_folder: FolderMaker) -> None:
    dataset = FolderDataset(make_folder(), image_size=(20, 11))
    assert dataset.split("score").images.shape[1:] == (20, 11, 3)
    assert not any("resized" in note for note in dataset.warnings)
    assert "out of range" in _refusal(make_folder(name="b"), image_size=(0, 11))


def test_other_files_are_ignored_with_a_note(make_folder: FolderMaker) -> None:
    root = make_folder()
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "cat" / ".hidden").write_text("nor this")
    dataset = FolderDataset(root)
    assert len(dataset.split("train")) == 12
    assert any(note.startswith("train: 1 files") for note in dataset.warnings)


def test_images_that_no_class_folder_holds_are_noted(make_folder: FolderMaker) -> None:
    root = make_folder()
    notes = " ".join(FolderDataset(root).warnings)
    assert "ignored" not in notes and "beside train" not in notes
    session = root / "train" / "cat" / "monday"
    session.mkdir()
    (root / "train" / "cat" / "user0_000.png").rename(session / "user0_000.png")
    (root / "train" / "dog" / "gone.png").symlink_to("nowhere.png")
    (root / "train" / "list.txt").write_text("of files")
    (root / "extra" / "cat").mkdir(parents=True)
    dataset = FolderDataset(root)
    assert len(dataset.split("train")) == 11
    notes = " ".join(dataset.warnings)
    assert "train: 3 entries are ignored" in notes and "val: " not in notes
    assert "beside train only val and test are read, not extra" in notes


@pytest.mark.parametrize(
    ("pool", "other"),
    [("val", "Val"), ("val", "validation"), ("test", "TEST"), ("test", "testing")],
)
def test_pools_of_another_name_are_not_passed_over(
    make_folder: FolderMaker, pool: str, other: str
) -> None:
    root = make_folder({"train": 6, "val": 12, "test": 6})
    (root / pool).rename(root / other)
    if not (root / pool).is_dir():  # as on file systems that tell capitals apart
        assert f"{root / other} is not understood: rename it to {root / pool}" in _refusal(root)


def test_one_photo_turned_by_its_exif_tag_is_of_another_size(make_folder: FolderMaker) -> None:
    root = make_folder(suffix=".jpg")
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    photo = root / "train" / "dog" / "user3_003.jpg"
    Image.open(photo).save(photo, exif=turned)
    assert any("resized to 12x16" in note for note in FolderDataset(root).warnings)


def test_copies_of_an_image_in_two_splits_are_noted(make_folder: FolderMaker) -> None:
    root = make_folder()
    assert not any("byte for byte" in note for note in FolderDataset(root).warnings)
    for k, name in enumerate(("user0_005.png", "user1_006.png")):
        content = (root / "train" / "cat" / f"user{k}_00{k}.png").read_bytes()
        (root / "val" / "cat" / name).write_bytes(content)
    (note,) = [note for note in FolderDataset(root).warnings if "byte for byte" in note]
    assert note.startswith("2 of the 24 images outside the train split")


def test_more_pixels_than_memory_are_refused_with_the_mend(
    make_folder: FolderMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    root = make_folder()
    monkeypatch.setattr("hybrid_nas.data.image_files.np.empty", full)
    assert "12 images of 12x16 take 0 GB decoded" in _refusal(root)
    assert "--image-size" in _refusal(root)


def test_fingerprint_follows_content_and_names_not_place(make_folder: FolderMaker) -> None:
    first, second = make_folder(name="a"), make_folder(name="b")
    assert FolderDataset(first).fingerprint == FolderDataset(second).fingerprint
    before = FolderDataset(second).fingerprint
    image = second / "val" / "dog" / "user1_001.png"
    changed = np.asarray(Image.open(image)).copy()
    changed[0, 0, 0] ^= 1
    Image.fromarray(changed).save(image)
    altered = FolderDataset(second).fingerprint
    image.rename(image.with_name("user1_zzz.png"))
    assert len({before, altered, FolderDataset(second).fingerprint}) == 3
    assert FolderDataset(first, image_size=(8, 8)).fingerprint != before


def test_groups_come_from_an_expression_on_the_file_name(make_folder: FolderMaker) -> None:
    root = make_folder({"train": 10})
    dataset = FolderDataset(root, group=r"_(\d+)")
    for name in ("train", "fit", "threshold", "score", "test"):
        part = dataset.part(name)  # type: ignore[arg-type]
        numbers = [dataset.paths[part.pool][k].stem.split("_")[1] for k in part.index]
        groups = dataset.split(name).groups.tolist()  # type: ignore[arg-type]
        assert len(set(zip(numbers, groups, strict=True))) == len(set(groups)) == len(set(numbers))


def test_groups_come_from_a_table_and_rows_too_many_are_noted(make_folder: FolderMaker) -> None:
    root = make_folder({"train": 8, "val": 12})
    rows = ["path,group", "train/none.png,x"]
    for pool in ("train", "val"):
        for file in sorted((root / pool).rglob("*.png")):
            rows.append(f"{file.relative_to(root).as_posix()},{pool}-{file.name[-7:-4]}")
    (root / "groups.csv").write_text("\n".join(rows))
    dataset = FolderDataset(root)
    train = dataset.split("train")
    assert np.array_equal(train.groups[:8], train.groups[8:])
    assert len(np.unique(train.groups)) == 8
    assert any("1 rows for images that are not" in note for note in dataset.warnings)
    (root / "groups.csv").write_text("\n".join(rows[:-1]))
    assert "no row for val/dog/user4_009.png" in _refusal(root)


def test_a_group_expression_wins_over_the_table(make_folder: FolderMaker) -> None:
    root = make_folder({"train": 20})
    (root / "groups.csv").write_text("broken")
    dataset = FolderDataset(root, group=r"_(\d+)")
    assert any("groups.csv is not read" in note for note in dataset.warnings)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a,b\n1,2\n", "expected a first line path,group"),
        ("", "expected a first line path,group"),
        ("path,group\ntrain/cat/user0_000.png,\n", "line 2 lacks a path or a group"),
        ("path,group\nx.png,1\nx.png,2\n", "gives x.png a second group"),
        (b"path,group\n\xff\xfe\n", "cannot be read as CSV"),
    ],
)
def test_bad_group_tables_are_refused(
    make_folder: FolderMaker, table: str | bytes, message: str
) -> None:
    root = make_folder()
    (root / "groups.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    assert message in _refusal(root)


def test_bad_group_expressions_are_refused(make_folder: FolderMaker) -> None:
    root = make_folder()
    assert "not a regular expression" in _refusal(root, group="(")
    assert "finds no group in the file name of" in _refusal(root, group="session")
    assert "images in both train and val" in _refusal(root, group=r"user\d")


def test_layout_mistakes_are_refused_by_path(make_folder: FolderMaker, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty} has no train folder" in _refusal(empty)
    (empty / "train").mkdir()
    assert f"{empty / 'train'} has no class folders" in _refusal(empty)
    (empty / "train" / "cat").mkdir()
    assert "only the class folder cat" in _refusal(empty)
    (empty / "train" / "dog").mkdir()
    assert f"{empty / 'train' / 'cat'} has no images" in _refusal(empty)
    root = make_folder()
    (root / "val" / "cow").mkdir()
    assert f"{root / 'val'} has other classes" in _refusal(root)
    assert "also has cow" in _refusal(root)
    (root / "val" / "cow").rmdir()
    (root / "val").rename(root / "valid")
    assert f"rename it to {root / 'val'}" in _refusal(root)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n1234"])
def test_files_that_are_no_images_are_refused_at_once(
    make_folder: FolderMaker, content: bytes
) -> None:
    root = make_folder()
    bad = root / "val" / "dog" / "user3_003.png"
    bad.write_bytes(content)
    refused = r"user3_003\.png cannot be read as an image \(its content is none of PNG"
    with pytest.raises(InputError, match=refused):
        FolderDataset(root)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_a_truncated_image_is_refused_by_name(make_folder: FolderMaker, suffix: str) -> None:
    root = make_folder(suffix=suffix, size=(40, 40))
    bad = root / "train" / "cat" / f"user2_002{suffix}"
    content = bad.read_bytes()
    bad.write_bytes(content[: len(content) // 2])
    assert f"{bad} cannot be read as an image" in _refusal(root)


def test_what_cannot_be_read_is_found_by_asking_for_its_split(make_folder: FolderMaker) -> None:
    root = make_folder({"train": 6, "val": 12, "test": 6}, size=(40, 40))
    bad = root / "test" / "dog" / "user1_001.png"
    bad.write_bytes(bad.read_bytes()[:200])
    dataset = FolderDataset(root)
    dataset.check_readable(("train", "fit", "threshold", "score"))
    with pytest.raises(InputError, match=r"user1_001\.png cannot be read"):
        dataset.check_readable(("test",))


def test_without_val_the_splits_are_held_out_of_train(make_folder: FolderMaker) -> None:
    dataset = FolderDataset(make_folder({"train": 40, "test": 9}))
    assert len(dataset.split("test")) == 18
    held_out = sum(len(dataset.split(name)) for name in ("fit", "threshold", "score"))  # type: ignore[arg-type]
    assert len(dataset.split("train")) + held_out == 80
    assert any("held out of train" in note for note in dataset.warnings)
