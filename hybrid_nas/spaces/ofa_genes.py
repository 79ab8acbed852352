"""Once-for-All's gene dictionaries ``{ks, e, d, r, wid}`` (and ``w`` of its ResNets) in our genes.

Its lists have an entry for every place that a block can stand in, whether or not the depth uses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.space import Genes, SearchSpace, Value

_PLACE = re.compile(r"([ke])(\d+)\.(\d+)")


def genes_from_ofa(
    values: Mapping[str, Any], space: SearchSpace, resolution: int | None = None
) -> Genes:
    """Canonical genes of `space` from a Once-for-All dictionary.

    Args:
        values: lists ``ks``, ``e`` and ``d`` (MobileNetV3, ProxylessNAS, MCUNet) or ``d``, ``e``
            and ``w`` (ResNet, ``w`` counting the width choices from 0); ``r`` or ``image_size`` a
            number or a list of one; ``wid`` the width: None where the space has one only, an
            integer counts its choices from 0, a fraction is the multiplier itself.
        resolution: used where the dictionary has none, and instead of its own.

    Raises:
        InputError: a list has the wrong length, or a value is no choice of the space.

    Example:
        >>> from hybrid_nas.spaces.loader import load_space
        >>> space = load_space("ofa-mbv3-w1.0")
        >>> genes = genes_from_ofa({"ks": [3] * 20, "e": [4] * 20, "d": [2] * 5, "r": [224]}, space)
        >>> space.architecture(genes).params
        3765400
    """
    r = resolution if resolution is not None else _single(values.get("r", values.get("image_size")))
    if r is None:
        raise InputError("genes without a resolution: add 'r', or give --resolution")
    named: dict[str, Value] = {"resolution": r}
    if space.family == "resnet":
        named |= _resnet(values, space)
    else:
        named["width"] = _width(values.get("wid"), space)
        named |= _mobile(values, space)
    return space.from_dict(named)


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _numbers(
    values: Mapping[str, Any], key: str, lengths: set[int], space: SearchSpace
) -> list[Value]:
    given = values.get(key)
    if not isinstance(given, list) or len(given) not in lengths:
        got = f"{len(given)} numbers" if isinstance(given, list) else repr(given)
        raise InputError(
            f"{key!r} must be a list of {' or '.join(map(str, sorted(lengths)))} numbers for space "
            f"{space.name} (got {got})"
        )
    return given


def _width(wid: object, space: SearchSpace) -> Value:
    choices = space.genes[space.column["width"]].choices
    if wid is None and len(choices) == 1:
        return choices[0]
    if isinstance(wid, int) and not isinstance(wid, bool) and 0 <= wid < len(choices):
        return choices[wid]
    if isinstance(wid, float) and wid in choices:
        return wid
    raise InputError(
        f"'wid' must be one of the widths {', '.join(map(str, choices))} of space {space.name}, or "
        f"an integer that counts them from 0 (got {wid!r})"
    )


def _mobile(values: Mapping[str, Any], space: SearchSpace) -> dict[str, Value]:
    """Stage s, position p is entry 4 (s - 1) + p - 1; only the last stage may be shorter."""
    places = [m for gene in space.genes if (m := _PLACE.fullmatch(gene.name))]
    longest = max(int(m[3]) for m in places)
    entries = {m[0]: longest * (int(m[2]) - 1) + int(m[3]) - 1 for m in places}
    depths = [gene.name for gene in space.genes if re.fullmatch(r"d\d+", gene.name)]
    stages = max(int(m[2]) for m in places)
    length = max(entries.values()) + 1
    named: dict[str, Value] = {}
    lists = {
        "k": _numbers(values, "ks", {length}, space),
        "e": _numbers(values, "e", {length}, space),
    }
    for name, entry in entries.items():
        named[name] = lists[name[0]][entry]
    given = _numbers(values, "d", {len(depths), stages}, space)
    return named | {name: given[int(name[1:]) - 1] for name in depths}


def _resnet(values: Mapping[str, Any], space: SearchSpace) -> dict[str, Value]:
    """Depths and widths in order of the genes; one ratio per block that could be there."""
    named: dict[str, Value] = {}
    for key, letter in (("d", "d"), ("e", "e"), ("w", "w")):
        genes = [gene for gene in space.genes if gene.name[0] == letter and gene.name[1].isdigit()]
        given = _numbers(values, key, {len(genes)}, space)
        for gene, value in zip(genes, given, strict=True):
            if key == "w":
                if isinstance(value, bool) or value not in range(len(gene.choices)):
                    raise InputError(
                        f"'w' counts the widths of space {space.name} from 0 to "
                        f"{len(gene.choices) - 1} (got {value!r})"
                    )
                value = gene.choices[int(value)]
            named[gene.name] = value
    return named
