"""``hybrid-nas verify``: a pair on a device, predictions beside what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_nas.cli.options import Arch, Normalisation, Threads, Untrained, Weights, size_option
from hybrid_nas.cli.output import console, emit_json, err_console
from hybrid_nas.cli.progress import progress_bar
from hybrid_nas.cli.subject import check_subject, named_pair
from hybrid_nas.errors import InputError

if TYPE_CHECKING:
    from hybrid_nas.verify.report import Verification
    from hybrid_nas.verify.subject import Subject


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("verify")
    def verify(
        run: Annotated[
            Path | None, typer.Argument(metavar="[RUN]", help="Run directory of a search.")
        ] = None,
        pair: Annotated[
            int | None, typer.Option("--pair", min=1, help="Number of the pair.")
        ] = None,
        board: Annotated[
            str,
            typer.Option("--board", help="Emulated board, or the real one on --port."),
        ] = "emulated-cortex-m7",
        images: Annotated[
            int, typer.Option("--images", min=1, help="Images of the test split to run.")
        ] = 20,
        sram: Annotated[
            int | None,
            size_option("--sram", help="What it may take; the run's limit, or all of the board's."),
        ] = None,
        flash: Annotated[
            int | None,
            size_option(
                "--flash", help="What it may take; the run's limit, or all of the board's."
            ),
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
        untrained: Untrained = False,
        arch: Arch = None,
        weights: Weights = None,
        calibration: Annotated[
            str | None,
            typer.Option(
                "--calibration",
                metavar="SPEC",
                help="With --arch: data for activations and images, as for --data.",
            ),
        ] = None,
        normalisation: Normalisation = None,
        threads: Threads = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Build a pair for a board, run it there, and compare with what was predicted.

        With --arch and --weights: any network of MCUNet's or Once-for-All's JSON format.
        """
        from hybrid_nas.verify.compiler import Compiler
        from hybrid_nas.verify.job import check_device

        if run is None and arch is not None and out is None:
            raise InputError("--out DIR is missing: with --arch, name the folder to make")
        check_subject(run, pair, arch, weights, calibration, normalisation, untrained=untrained)
        if out is not None and out.exists() and not out.is_dir():
            raise InputError(f"--out {out} is a file: name a folder")
        on = check_device(board, port)
        Compiler.find()
        if run is None or pair is None:
            assert arch is not None and weights is not None and out is not None
            subject = _files(arch, weights, calibration, normalisation, on.id, images, threads)
            folder = out
        else:
            subject, own_folder = _pair(run, pair, on.id, images, threads, untrained)
            folder = out or own_folder / "verify" / on.id
        found = _run(subject, on.id, folder, port, sram, flash)
        _write(found, folder)
        if json:
            emit_json(found.document())
        else:
            _show(found, folder)
        found.require_exact()


def _pair(
    run: Path, number: int, board: str, images: int, threads: int | None, untrained: bool
) -> tuple[Subject, Path]:
    """What is verified, and the pair's folder."""
    import torch

    from hybrid_nas.export.from_run import exported_pair
    from hybrid_nas.threads import cores
    from hybrid_nas.verify.subject import pair_subject

    chosen = named_pair(run, number)
    torch.set_num_threads(threads or cores())
    err_console().print(f"opening pair {number}, rounding it to int8 ...", markup=False)
    opened = exported_pair(chosen, untrained=untrained)
    return pair_subject(opened, board, images), chosen.directory.pair(number)


def _files(
    arch: Path,
    weights: Path,
    calibration: str | None,
    normalisation: str | None,
    board: str,
    images: int,
    threads: int | None,
) -> Subject:
    import torch

    from hybrid_nas.data.normalisation import HALF, parse_normalisation
    from hybrid_nas.export.from_files import NetworkJob
    from hybrid_nas.threads import cores
    from hybrid_nas.verify.subject import files_subject

    trained_on = parse_normalisation(normalisation or HALF)
    torch.set_num_threads(threads or cores())
    err_console().print(f"rounding {arch.name} to int8 ...", markup=False)
    job = NetworkJob(arch, weights, Path(), (), calibration, normalisation=trained_on)
    return files_subject(job, board, images)


def _run(
    subject: Subject,
    board: str,
    folder: Path,
    port: str | None,
    sram: int | None,
    flash: int | None,
) -> Verification:
    from hybrid_nas.verify.boards import load_verify_board
    from hybrid_nas.verify.job import VerifyJob
    from hybrid_nas.verify.outside import outside_scores

    job = VerifyJob(
        network=subject.code,
        board=load_verify_board(board),
        out=folder,
        port=port,
        sram_bytes=sram or subject.sram_bytes,
        flash_bytes=flash or subject.flash_bytes,
        images_from=subject.images_from,
    )
    outside = outside_scores(subject.network, subject.images)
    with progress_bar(err_console(), "verifying", "inferences") as show:
        return job.run(subject.images, subject.labels, outside, report=show)


def _write(found: Verification, folder: Path) -> None:
    from hybrid_nas.cli.output import json_text
    from hybrid_nas.files import atomic_write

    atomic_write(folder / "verify.json", json_text(found.document()))


def _show(found: Verification, folder: Path) -> None:
    from hybrid_nas.cli.output import make_table
    from hybrid_nas.verify.predict import RUNTIME
    from hybrid_nas.verify.tables import op_rows, quantity_rows, readings

    people = console(json=False)
    title = f"{found.network} on {found.board}, predicted with runtime {RUNTIME}"
    columns = ["", "predicted", "on the device", "prediction off by"]
    people.print(make_table(columns, quantity_rows(found), title=title, numeric=columns[1:]))
    unit = found.unit.name
    columns = ["operator", f"predicted, {unit}", "on the device", "off by", "exact images"]
    people.print(make_table(columns, op_rows(found), numeric=columns[1:]))
    for line in readings(found):
        people.print(line, markup=False)
    people.print(f"Written to {folder}: verify.json, project/, programs", markup=False)
