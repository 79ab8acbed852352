"""Search spaces by name or file: `search_spaces/*.yaml` and the user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.resources import search_space_files
from hybrid_nas.spaces.architecture import check_sizes
from hybrid_nas.spaces.families import Frame, mbconv_space, resnet_space
from hybrid_nas.spaces.space import Gene, SearchSpace, Slot, Value
from hybrid_nas.spaces.space_document import check_choices, check_space
from hybrid_nas.yaml_documents import file_yaml

SCHEMA = "hybrid-nas/space/1"
_Family = Callable[[dict[str, Any], Frame], tuple[tuple[Gene, ...], tuple[Slot, ...]]]
_FAMILIES: dict[str, _Family] = {"mbconv": mbconv_space, "resnet": resnet_space}
IMAGENET_SHAPE = (224, 224, 3)
IMAGENET_CLASSES = 1000


def space_names() -> tuple[str, ...]:
    """Names of the spaces that come with the program."""
    return tuple(sorted(search_space_files()))


def read_space_file(name: str) -> dict[str, Any]:
    """The checked description of a space, by name or by the path of a YAML file.

    ``extends: NAME`` takes over another space's keys, of which the file then replaces some; a file
    is looked for beside the one that extends it, then in the current folder.

    Raises:
        InputError: no such space, or its file is wrong; the message names file and key.
    """
    return _read(name, ())


def _read(name: str, children: tuple[Path, ...]) -> dict[str, Any]:
    """The description of a space that `children`, each by the one before, say they extend."""
    known = search_space_files()
    beside = [child.parent / name for child in children[-1:]]
    tried = [known[name]] if name in known else [*beside, Path(name)]
    path = next((one for one in tried if one.is_file()), tried[-1])
    if not path.is_file():
        where = f"{children[-1]}: extends: " if children else ""
        raise InputError(
            f"{where}no search space {name!r}: give one of {', '.join(sorted(known))}, or a YAML "
            "file"
        )
    if path.resolve() in [child.resolve() for child in children]:
        raise InputError(f"{path} extends itself")
    spec = file_yaml(path, SCHEMA)
    if "extends" in spec:
        parent = str(spec.pop("extends"))
        spec = {**_read(parent, (*children, path)), **spec}
    check_space(spec, str(path))
    return spec


def load_space(
    name: str,
    *,
    input_shape: tuple[int, int, int] = IMAGENET_SHAPE,
    classes: int = IMAGENET_CLASSES,
    choices: Mapping[str, Sequence[Value]] | None = None,
) -> SearchSpace:
    """A search space laid out for images of `input_shape` and `classes` outputs.

    Args:
        name: a shipped space's name, or the path of a YAML file.
        input_shape: (height, width, channels) of the data. ``resolution`` scales the longer side
            and keeps the aspect ratio.
        classes: number of outputs.
        choices: replaces ``resolution`` or ``width`` choices, e.g. ``{"resolution": [49]}``.

    Raises:
        InputError: no such space, its file is wrong, or its networks are too large to be counted.
    """
    spec = {**read_space_file(name), **{k: list(v) for k, v in (choices or {}).items()}}
    for key in choices or {}:
        if key not in ("resolution", "width"):
            raise InputError(f"only resolution and width can be narrowed (got {key!r})")
        check_choices(key, spec[key], key)
    genes, slots = _FAMILIES[spec["family"]](spec, Frame(input_shape, classes))
    digest = hashlib.sha256(json.dumps([spec, input_shape, classes], sort_keys=True).encode())
    space = SearchSpace(
        name=spec["name"],
        family=spec["family"],
        genes=genes,
        slots=slots,
        input_shape=input_shape,
        classes=classes,
        shares_weights=frozenset(spec["shares_weights"]),
        fingerprint=digest.hexdigest(),
    )
    check_sizes(space.architecture(space.extremes()[1]), f"the largest network of space {name}")
    return space
