"""``hybrid-nas spaces``: the search spaces that come with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.output import console, emit_json, make_table

if TYPE_CHECKING:
    from hybrid_nas.spaces.space import SearchSpace

SCHEMA = "hybrid-nas/spaces/1"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("spaces")
    def spaces(
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """List the search spaces: how many networks, which dimensions, what shares weights."""
        from hybrid_nas.spaces.loader import load_space, space_names

        documents = [_document(load_space(name)) for name in space_names()]
        if json:
            emit_json({"schema": SCHEMA, "spaces": documents})
            return
        columns = ["space", "networks", *_COLUMNS, "shares weights"]
        rows = [
            [
                document["name"],
                f"{document['count']:.2g}",
                *(_span(document["dimensions"].get(name, [])) for name in _COLUMNS),
                _sharing(document),
            ]
            for document in documents
        ]
        title = "Search spaces (search_spaces/*.yaml)"
        console(json=False).print(make_table(columns, rows, title=title, numeric=("networks",)))


_COLUMNS = ("resolution", "width", "depth", "kernel", "expand")
_DIMENSIONS = {"resolution": "resolution", "d": "depth", "k": "kernel", "e": "expand"}
_DIMENSIONS |= {"width": "width", "w": "width"}


def _document(space: SearchSpace) -> dict[str, Any]:
    dimensions: dict[str, set[float]] = {}
    for gene in space.genes:
        name = _DIMENSIONS[gene.name.rstrip("0123456789.")]
        dimensions.setdefault(name, set()).update(gene.choices)
    return {
        "name": space.name,
        "family": space.family,
        "count": space.count(),
        "genes": len(space.genes),
        "dimensions": {name: sorted(values) for name, values in dimensions.items()},
        "shares_weights": sorted(space.shares_weights),
        "fingerprint": space.fingerprint,
    }


def _sharing(document: dict[str, Any]) -> str:
    """Which dimensions one supernet covers, among those that have a choice."""
    varied = [name for name, values in document["dimensions"].items() if len(values) > 1]
    apart = [name for name in varied if name not in document["shares_weights"]]
    return f"all but {', '.join(apart)}: a supernet for each" if apart else "all: one supernet"


def _span(values: list[float]) -> str | None:
    """A few choices in full, many as their range."""
    if not values:
        return None
    if len(values) <= 4:
        return " ".join(f"{value:g}" for value in values)
    return f"{values[0]:g} to {values[-1]:g} ({len(values)})"
