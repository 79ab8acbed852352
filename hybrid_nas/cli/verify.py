"""``hybrid-nas verify``: a pair on a device, predictions beside what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_nas.cli.options import size_option
from hybrid_nas.cli.output import console, emit_json, err_console
from hybrid_nas.cli.progress import progress_bar

if TYPE_CHECKING:
    from hybrid_nas.export.from_run import ExportedPair
    from hybrid_nas.verify.job import VerifyJob
    from hybrid_nas.verify.report import Verification


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("verify")
    def verify(
        run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of a search.")],
        pair: Annotated[int, typer.Option("--pair", min=1, help="Number of the pair.")],
        board: Annotated[
            str,
            typer.Option("--board", help="Emulated board, or the real one on --port."),
        ] = "emulated-cortex-m7",
        images: Annotated[
            int, typer.Option("--images", min=1, help="Images of the test split to run.")
        ] = 20,
        sram: Annotated[
            int | None,
            size_option("--sram", help="What the pair may take; the run's limit."),
        ] = None,
        flash: Annotated[
            int | None,
            size_option("--flash", help="What the pair may take; the run's limit."),
        ] = None,
        port: Annotated[
            str | None,
            typer.Option("--port", metavar="DEV", help="Serial port of a real board."),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                "--out", metavar="DIR", help="For code and programs; in the pair's folder."
            ),
        ] = None,
        untrained: Annotated[
            bool,
            typer.Option("--untrained", help="As the search left it, even if it was trained."),
        ] = False,
        threads: Annotated[
            int | None, typer.Option("--threads", min=1, help="CPU threads; all cores.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Build a pair for a board, run it there, and compare with what was predicted."""
        import torch

        from hybrid_nas.export.from_run import exported_pair
        from hybrid_nas.search.rundir import RunDirectory
        from hybrid_nas.threads import cores
        from hybrid_nas.training.job import RunPair
        from hybrid_nas.verify.compiler import Compiler
        from hybrid_nas.verify.job import check_device

        on = check_device(board, port)
        Compiler.find()
        chosen = RunPair(RunDirectory(run), pair)
        chosen.document  # noqa: B018  # a wrong number is said before anything is opened
        torch.set_num_threads(threads or cores())
        err_console().print("opening the pair", markup=False)
        opened = exported_pair(chosen, untrained=untrained)
        folder = out or chosen.directory.pair(pair) / "verify" / on.id
        job = _job(opened, on.id, folder, port, sram, flash)
        found = _run(job, opened, images)
        _write(found, folder)
        if json:
            emit_json(found.document())
        else:
            _show(found, folder)
        found.require_exact()


def _job(
    opened: ExportedPair,
    board: str,
    out: Path,
    port: str | None,
    sram: int | None,
    flash: int | None,
) -> VerifyJob:
    from hybrid_nas.export.c_code.network import CNetwork
    from hybrid_nas.hardware.boards import load_board
    from hybrid_nas.verify.boards import load_verify_board
    from hybrid_nas.verify.job import VerifyJob

    limits, there = opened.pair.setup.limits, load_board(board)
    return VerifyJob(
        network=CNetwork.of(opened.network, opened.device, opened.subject.base.cuts),
        board=load_verify_board(board),
        out=out,
        port=port,
        sram_bytes=sram or min(limits.sram_bytes, there.sram_bytes),
        flash_bytes=flash or min(limits.flash_bytes, there.flash_bytes),
    )


def _run(job: VerifyJob, opened: ExportedPair, images: int) -> Verification:
    from hybrid_nas.export.int8_outputs import network_pixels

    test = opened.subject.data.split("test")
    pixels = network_pixels(test.images[:images], opened.graph.input_shape)
    with progress_bar(err_console(), "verifying", "images") as show:
        return job.run(pixels, test.labels[:images], report=show)


def _write(found: Verification, folder: Path) -> None:
    from hybrid_nas.cli.output import json_text
    from hybrid_nas.files import atomic_write

    atomic_write(folder / "verify.json", json_text(found.document()))


def _show(found: Verification, folder: Path) -> None:
    from hybrid_nas.cli.output import make_table
    from hybrid_nas.verify.tables import op_rows, quantity_rows, readings

    people = console(json=False)
    title = f"{found.network} on {found.board}, predicted with hnas-c"
    columns = ["", "predicted", "on the device", "prediction off by"]
    people.print(make_table(columns, quantity_rows(found), title=title, numeric=columns[1:]))
    columns = ["operator", "predicted", "on the device", "off by", "exact images"]
    people.print(make_table(columns, op_rows(found), numeric=columns[1:]))
    for line in readings(found):
        people.print(line, markup=False)
    people.print(f"Written to {folder}: verify.json, project/, programs", markup=False)
