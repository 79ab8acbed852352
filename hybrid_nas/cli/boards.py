"""``hybrid-nas boards``: the boards, their memory, and what is known about latency on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.output import console, emit_json, make_table
from hybrid_nas.units import format_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.hardware.boards import Board

SCHEMA = "hybrid-nas/boards/1"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("boards")
    def boards(
        board: Annotated[
            str | None,
            typer.Argument(
                metavar="[BOARD|FILE.yaml]", help="Only this board, in detail; or your own's file."
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """List the boards: SRAM, flash, core, clock, and the kind of latency of each runtime.

        SRAM is the longest contiguous run of memory, which an arena must fit in.
        """
        from hybrid_nas.hardware.board_files import named_board
        from hybrid_nas.hardware.boards import board_ids

        chosen = [named_board(name) for name in ([board] if board else board_ids())]
        if json:
            emit_json({"schema": SCHEMA, "boards": [_document(one) for one in chosen]})
        elif board:
            _show_one(console(json=False), chosen[0])
        else:
            _show_all(console(json=False), chosen)


def _latency_kinds(board: Board) -> dict[str, str]:
    """Kind of latency by runtime: measured, emulated, predicted or none; of the best table."""
    from hybrid_nas.hardware.latency_files import find_table
    from hybrid_nas.hardware.runtimes import runtime_ids

    tables = {name: find_table(board.id, name) for name in runtime_ids()}
    return {name: table.kind if table else "none" for name, table in tables.items()}


def _document(board: Board) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **asdict(board),
        "total_sram_bytes": board.total_sram_bytes,
        "latency": _latency_kinds(board),
        "tables": _tables(board),
    }


def _tables(board: Board) -> list[dict[str, Any]]:
    """All tables of a board; `search` takes the one that is ``used`` of its runtime."""
    from dataclasses import asdict

    from hybrid_nas.hardware.latency_files import find_table, tables_of

    return [
        {
            "name": table.name,
            "runtime": table.identity.runtime,
            "runtime_version": table.identity.runtime_version,
            "kind": table.kind,
            "scaled_from": table.scaled_from and table.scaled_from.board,
            "validation": table.validation and asdict(table.validation),
            "source": table.source,
            "used": find_table(board.id, table.identity.runtime) is table,
        }
        for table in tables_of(board.id)
    ]


def _show_all(out: Console, boards: list[Board]) -> None:
    kinds = [_latency_kinds(board) for board in boards]
    columns = ["board", "core", "MHz", "SRAM", "flash", *kinds[0]]
    rows = [
        [
            board.id,
            board.core,
            f"{board.clock_hz / 1e6:g}",
            format_bytes(board.sram_bytes),
            format_bytes(board.flash_bytes),
            *kind.values(),
        ]
        for board, kind in zip(boards, kinds, strict=True)
    ]
    title = "Boards, and what latency is with each runtime"
    out.print(make_table(columns, rows, title=title, numeric=("MHz", "SRAM", "flash")))


def _show_one(out: Console, board: Board) -> None:
    _show_all(out, [board])
    regions = [
        [
            region.name,
            f"0x{region.address:08X}",
            format_bytes(region.bytes),
            "yes" if region.usable else "no",
            region.note,
        ]
        for region in board.regions
    ]
    columns = ["region", "address", "size", "for data", "note"]
    out.print(make_table(columns, regions, title=f"Memory of {board.name}", numeric=("size",)))
    lines = [f"Largest contiguous run: {format_bytes(board.sram_bytes)}. Source: {board.source}."]
    if board.flash_note:
        lines.append(f"Flash: {board.flash_note}.")
    lines += [
        f"Typical reserve: {reserve.what}: {format_bytes(reserve.sram_bytes)} of SRAM, "
        f"{format_bytes(reserve.flash_bytes)} of flash ({reserve.source})."
        for reserve in board.reserves
    ]
    for line in lines:
        out.print(line, markup=False)
    _show_tables(out, board)


def _show_tables(out: Console, board: Board) -> None:
    tables = _tables(board)
    if not tables:
        out.print(
            f"No latency table of {board.id}: see docs/latency.md for making one.", markup=False
        )
        return
    rows = [
        [
            "*" if table["used"] else "",
            table["runtime"],
            table["runtime_version"],
            table["kind"],
            *_error_cells(table["validation"]),
            table["source"],
        ]
        for table in tables
    ]
    columns = ["", "runtime", "version", "kind", "error", "worst", "compared with", "source"]
    title = f"Latency tables of {board.name} (*: used with its runtime)"
    out.print(make_table(columns, rows, title=title, numeric=("error", "worst")))


def _error_cells(validation: dict[str, Any] | None) -> tuple[str, str, str]:
    if validation is None:
        return "unknown", "", ""
    mean, worst, networks = (validation[key] for key in ("mean", "worst", "networks"))
    return f"{mean:.1%}", f"{worst:.1%}", f"{networks} networks"
