"""Files of search spaces: what they must say, and that what is wrong in them is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hybrid_nas.errors import InputError
from hybrid_nas.resources import search_space_dir
from hybrid_nas.spaces.loader import load_space, read_space_file, space_names


def save(path: Path, document: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(document))
    return str(path)


def change(name: str, key: str, value: object) -> dict[str, Any]:
    """A shipped space with one key of another value, or without it where that is `...`."""
    document = yaml.safe_load(yaml.safe_dump(read_space_file(name))) | {"name": "mine"}
    at: Any = document
    *keys, last = key.split("/")
    for one in keys:
        at = at[int(one) if one.isdigit() else one]
    if value is ...:
        del at[last]
    else:
        at[int(last) if last.isdigit() else last] = value
    return document


@pytest.mark.parametrize("name", space_names())
def test_a_copy_of_a_shipped_space_is_the_same_space(tmp_path: Path, name: str) -> None:
    document = read_space_file(name)
    copy = load_space(save(tmp_path / "copy.yaml", document), classes=10)
    assert copy.fingerprint == load_space(name, classes=10).fingerprint


MOBILE = [
    ("stages/1/channels", ..., r"stage 2 must have the keys channels, .* \(missing: channels\)"),
    ("stages/0/kernel", ..., r"stage 1 must .* \(missing: kernel\)"),
    ("stages/0/stride", ..., r"stage 1 must .* \(missing: stride\)"),
    ("stages/0/kernal", [3], r"stage 1 must .* \(unknown: kernal\)"),
    ("stages/0/kernel", [2, 4], "stage 1: kernel must be a list of different numbers, each odd"),
    ("stages/0/kernel", [3.5], "stage 1: kernel must be .* each odd and above 0"),
    ("stages/0/depth", [1.5], "stage 1: depth must be .* each whole and above 0"),
    ("stages/0/depth", 2, "stage 1: 'depth' must be of type list"),
    ("stages/0/expand", [], "stage 1: expand must be a list of different numbers, each above 0"),
    ("stages/0/expand", [float("inf")], "stage 1: expand must be"),
    ("stages/0/channels", -8, "stage 1: channels must be above 0"),
    ("stages/0/channels", 10**9, "stage 1: channels must be above 0, at most 1048576"),
    ("stages/0/depth", [10**5], "stage 1: depth must be .* at most 256"),
    ("stages/0/expand", [1e300], "stage 1: expand must be .* at most"),
    ("stages/0/kernel", [10**9 + 1], "stage 1: kernel must be"),
    ("resolution", [10**12], "resolution must be .* at most"),
    ("width", [1e6], r"operator 0 \(conv\) has a size of 32000000 \(at most 1048576\)"),
    ("stages/0/channels", 8.0, "stage 1: 'channels' must be of type int"),
    ("stages/0/stride", 3, "stage 1: stride must be a power of two"),
    ("stages/0/se", "no", "stage 1: 'se' must be of type bool"),
    ("stages/0/activation", "gelu", "stage 1: activation must be one of none, relu"),
    ("stages", {"a": 1}, "'stages' must be of type list"),
    ("stages", [], "stages must be a list of at least one stage"),
    ("stages", [3], "stage 1 must be a mapping"),
    ("stem/kernel", ..., r"stem must have the keys .* \(missing: kernel\)"),
    ("stem/kernel", 4, "stem: kernel must be odd and above 0"),
    ("stem/activation", "gelu", "stem: activation must be one of none, relu"),
    ("stem", "x", "'stem' must be of type dict"),
    ("first_block/skip", 1, "first_block: 'skip' must be of type bool"),
    ("head", None, "'head' must be of type list"),
    ("head", [], "head must be a list of layers with 'pool' among them, once"),
    ("head", ["pool", "pool"], "head must be a list of layers with 'pool' among them, once"),
    ("head", ["pool", "foo"], "head: layer 2 must be a mapping .got 'foo'"),
    ("head", [{"channels": 8, "bn": True}, "pool"], r"head: layer 1 must .* \(missing: activat"),
    ("resolution", [48.5], "resolution must be .* each whole and above 0"),
    ("resolution", [48, 48], "resolution must be a list of different numbers"),
    ("width", [True], "width must be a list of different numbers"),
    ("shares_weights", 3, "'shares_weights' must be of type list"),
    ("shares_weights", ["colour"], "shares_weights must be a list of some of resolution, depth"),
    ("resolutoin", [3], r"must have the keys schema, .* \(unknown: resolutoin\)"),
    ("name", 3, "'name' must be of type str"),
    ("name", " ", "name must be a name"),
    ("family", "vit", "family must be one of mbconv, resnet"),
    ("family", [1], "family must be one of mbconv, resnet"),
]
RESNET = [
    ("stages/0/blocks", 0, "stage 1: blocks must be above 0"),
    ("stages/0/stride", ..., r"stage 1 must .* \(missing: stride\)"),
    ("stem_depth", [-1], "stem_depth must be .* each whole and 0 or more"),
    ("depth", [0.5], "depth must be .* each whole and 0 or more"),
    ("expand", [0], "expand must be .* each above 0"),
    ("head", ["pool"], r"must have the keys schema, .* \(unknown: head\)"),
]


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [("mcunet", *case) for case in MOBILE] + [("ofa-resnet50", *case) for case in RESNET],
)
def test_what_is_wrong_in_a_space_is_named(
    tmp_path: Path, name: str, key: str, value: object, message: str
) -> None:
    file = save(tmp_path / "mine.yaml", change(name, key, value))
    with pytest.raises(InputError, match=r"mine\.yaml:? .*" + message) as caught:
        load_space(file)
    assert "\n" not in str(caught.value)


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    document = {"schema": "hybrid-nas/space/1", "name": "mine"}
    save(one, document | {"extends": str(one)})
    with pytest.raises(InputError, match=r"one\.yaml extends itself"):
        load_space(str(one))
    save(one, document | {"extends": str(other)})
    save(other, document | {"extends": str(one)})
    with pytest.raises(InputError, match=r"one\.yaml extends itself"):
        load_space(str(one))
    save(one, document | {"extends": "nope"})
    with pytest.raises(InputError, match=r"one\.yaml: extends: no search space 'nope': give one"):
        load_space(str(one))


def test_a_file_may_extend_a_file_that_extends_a_shipped_space(tmp_path: Path) -> None:
    document = {"schema": "hybrid-nas/space/1", "name": "mine"}
    one = save(tmp_path / "one.yaml", document | {"extends": "mcunet", "width": [0.5]})
    two = save(tmp_path / "two.yaml", document | {"extends": one, "resolution": [48]})
    genes = {gene.name: gene.choices for gene in load_space(two).genes}
    assert (genes["width"], genes["resolution"]) == ((0.5,), (48,))


def test_a_space_beside_the_file_that_extends_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "spaces", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    document = {"schema": "hybrid-nas/space/1", "name": "mine"}
    save(folder / "one.yaml", document | {"extends": "mcunet", "width": [0.5]})
    two = save(folder / "two.yaml", document | {"extends": "one.yaml"})
    monkeypatch.chdir(elsewhere)
    assert read_space_file(two)["width"] == [0.5]


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("schema: hybrid-nas/space/1\nextends: mcunet\nwidth: [1]\nwidth: [0.5]\n")
    with pytest.raises(InputError, match=r"found the key 'width' a second time .* line 4"):
        load_space(str(path))


def test_the_keys_of_a_space_are_described() -> None:
    text = (search_space_dir() / "README.md").read_text(encoding="utf-8")
    for name in space_names():
        keys = set(read_space_file(name))
        for layer in (read_space_file(name)["stages"][0], read_space_file(name).get("stem", {})):
            keys |= set(layer)
        assert {key for key in keys if f"`{key}`" not in text} == set()
    document = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert document["extends"] in space_names()
