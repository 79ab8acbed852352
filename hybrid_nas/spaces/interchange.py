"""Networks as files: the JSON of MCUNet and Once-for-All, and dictionaries of genes.

Three kinds of documents stand for a network:

* an architecture, as the MCUNet and Once-for-All projects write it: ``first_conv`` (or
  ``input_stem``), ``blocks``, ``feature_mix_layer`` and ``final_expand_layer``, ``classifier``,
  ``resolution``;
* our genes: ``{"space": "mcunet", "genes": {"resolution": 96, "width": 0.5, "d1": 2, ...}}``;
* Once-for-All's genes ``{"ks": [...], "e": [...], "d": [...], "r": 224}``, which need a space to
  mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import DenseBlock
from hybrid_nas.spaces.layer_fields import image_shape, positive
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.ofa_genes import genes_from_ofa
from hybrid_nas.spaces.ofa_json import architecture_from_json
from hybrid_nas.spaces.ofa_json_writer import architecture_to_json
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.text_files import parse_json, read_text

__all__ = [
    "architecture_from_json",
    "architecture_to_json",
    "genes_from_ofa",
    "genes_to_json",
    "read_architecture",
]

_BLOCK_KEYS = ("first_conv", "input_stem", "blocks")
_OFA_KEYS = ("ks", "e", "d", "w")


def genes_to_json(space: SearchSpace, genes: tuple[int, ...]) -> dict[str, Any]:
    """Our genes document for one row of `space`; `read_architecture` reads it."""
    return {
        "space": space.name,
        "classes": space.classes,
        "input_shape": list(space.input_shape),
        "genes": space.to_dict(genes),
    }


def read_architecture(
    source: str | Path,
    space: SearchSpace | str | None = None,
    resolution: int | None = None,
    classes: int | None = None,
) -> Architecture:
    """The network that a file, or a JSON text, describes.

    Args:
        source: path of a JSON file, or the JSON text itself (it starts with ``{``).
        space: what genes are read in; only needed where the document does not name its space.
        resolution: replaces the document's; for genes it need not be among the space's choices.
        classes: replaces the number of outputs.

    Raises:
        InputError: no such file, no JSON, or not the description of a network.
    """
    doc, name = _load(source)
    if any(key in doc for key in _BLOCK_KEYS):
        if space is not None:
            raise InputError(
                f"{name} describes its layers itself, so a space has no meaning for it: leave out "
                "the space"
            )
        arch = replace(architecture_from_json(doc, resolution), name=name)
    else:
        arch = replace(_from_genes(doc, name, space, resolution, classes), name=name)
    return arch if classes is None else _with_classes(arch, classes)


def _load(source: str | Path) -> tuple[dict[str, Any], str]:
    text, name = str(source), "the JSON text"
    if not text.lstrip().startswith("{"):
        path = Path(text)
        name = path.stem
        text = read_text(path, "give an architecture's JSON file, or genes as JSON text {...}")
    doc = parse_json(text, name)
    if not isinstance(doc, dict):
        raise InputError(f"{name} must be a JSON object (got {type(doc).__name__})")
    return doc, name


def _from_genes(
    doc: Mapping[str, Any],
    name: str,
    space: SearchSpace | str | None,
    resolution: int | None,
    classes: int | None,
) -> Architecture:
    named = doc.get("space")
    if isinstance(space, SearchSpace):
        if named is not None and named != space.name:
            raise InputError(f"{name} has genes of space {named!r}, not of {space.name!r}")
        laid_out = space
    else:
        if space is not None and named is not None and named != space:
            raise InputError(f"{name} has genes of space {named!r}, not of {space!r}")
        wanted = space if space is not None else named
        if not isinstance(wanted, str):
            raise InputError(
                f"{name} is no architecture (it has no 'blocks') and names no search space: add a "
                "'space' key, or give the space"
            )
        laid_out = _lay_out(wanted, doc, name, resolution, classes)
    genes = doc.get("genes")
    if genes is None:
        genes = {key: value for key, value in doc.items() if key not in ("space", "name")}
    if not isinstance(genes, dict):
        raise InputError(f"'genes' of {name} must be an object of names and values (got {genes!r})")
    if any(key in genes for key in _OFA_KEYS):
        return laid_out.architecture(genes_from_ofa(genes, laid_out, resolution))
    values = dict(genes)
    if resolution is not None:
        values["resolution"] = resolution
    return laid_out.architecture(laid_out.from_dict(values))


def _lay_out(
    name: str, doc: Mapping[str, Any], where: str, resolution: int | None, classes: int | None
) -> SearchSpace:
    """The named space for the document's image shape, so that its resolution is a choice."""
    options: dict[str, Any] = {}
    if "input_shape" in doc:
        options["input_shape"] = image_shape(doc["input_shape"], f"'input_shape' of {where}")
    wanted = classes if classes is not None else doc.get("classes")
    if wanted is not None:
        options["classes"] = positive(wanted, f"'classes' of {where}")
    if resolution is not None:
        options["choices"] = {"resolution": [positive(resolution, "resolution")]}
    return load_space(name, **options)


def _with_classes(arch: Architecture, classes: int) -> Architecture:
    """The same network with another number of outputs."""
    last = arch.blocks[-1]
    if not isinstance(last, DenseBlock):
        raise InputError(f"{arch.name} does not end in a classifier, so --classes cannot change it")
    head = replace(last, cout=positive(classes, "classes"))
    return replace(arch, blocks=(*arch.blocks[:-1], head))
