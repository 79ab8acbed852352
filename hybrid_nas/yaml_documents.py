"""Reading YAML documents that say which schema they follow; by safe loading only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hybrid_nas.errors import InputError
from hybrid_nas.text_files import read_text

# The C loader is safe too, and an order of magnitude faster on long tables.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def file_yaml(path: Path, schema: str) -> dict[str, Any]:
    """A YAML file, with its schema checked.

    Raises:
        InputError: it cannot be read, is no YAML, or says another schema.
    """
    return parse_yaml(read_text(path), str(path), schema)


def parse_yaml(text: str, name: str, schema: str) -> dict[str, Any]:
    """The mapping in `text`, which must say ``schema: <schema>``; `name` is for messages."""
    loader = _SafeLoader(text)
    try:
        node = loader.get_single_node()
        _check_keys(node)
        document = None if node is None else loader.construct_document(node)
    # All but the first: values that look like YAML's own types and are none, such as 2020-99-99.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    if not isinstance(document, dict) or document.get("schema") != schema:
        found = document.get("schema") if isinstance(document, dict) else None
        raise InputError(f"{name} must be a mapping with 'schema: {schema}' (got {found!r})")
    return document


def _check_keys(root: yaml.Node | None) -> None:
    """Refuse equal keys of a mapping, of which safe loading would drop the first in silence."""
    seen: set[int] = set()
    todo = [] if root is None else [root]
    while todo:
        node = todo.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            todo += node.value
            continue
        keys = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                raise yaml.constructor.ConstructorError(
                    problem=f"found the key {key.value!r} a second time",
                    problem_mark=key.start_mark,
                )
            keys.add((key.tag, str(key.value)))
            todo += key, value
