"""``hybrid-nas export``: files of a pair, or of a single network, that run elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.multivalue import parse_coverages
from hybrid_nas.cli.options import Arch, Guarantee, Normalisation, Threads, Untrained, Weights
from hybrid_nas.cli.output import console, emit_json, err_console, make_table
from hybrid_nas.cli.subject import check_subject, named_pair
from hybrid_nas.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("export")
    def export(
        run: Annotated[
            Path | None, typer.Argument(metavar="[RUN]", help="Run directory of a search.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", metavar="DIR", help="Folder to make.")
        ] = None,
        pair: Annotated[
            int | None, typer.Option("--pair", min=1, help="Number of the pair.")
        ] = None,
        formats: Annotated[
            str, typer.Option("--formats", help="Which of onnx,tflite,c to write.")
        ] = "onnx,tflite,c",
        coverage: Annotated[
            list[str] | None,
            typer.Option(
                "--coverage",
                metavar="C",
                help="Shares of the inputs to keep on the device, the first one in force at the "
                "start; the run's by default.",
            ),
        ] = None,
        guarantee: Guarantee = None,
        rate_control: Annotated[
            bool,
            typer.Option(
                "--rate-control",
                help="Also a threshold that follows the images, so that the share sent stays.",
            ),
        ] = False,
        max_drop: Annotated[
            float,
            typer.Option(
                "--max-drop", min=0.0, help="Fail if int8 loses more, points of accuracy."
            ),
        ] = 2.0,
        untrained: Untrained = False,
        arch: Arch = None,
        weights: Weights = None,
        calibration: Annotated[
            str | None,
            typer.Option(
                "--calibration",
                metavar="SPEC",
                help="With --arch: images to measure activations on, as for --data.",
            ),
        ] = None,
        normalisation: Normalisation = None,
        plan: Annotated[
            bool, typer.Option("--plan", help="Write the arena's memory plan as JSON, too.")
        ] = False,
        patches: Annotated[
            str | None,
            typer.Option(
                "--patches",
                metavar="auto|N|NxM|off",
                help="In C, run the first blocks patch by patch, in less SRAM: the best, or a grid "
                "of NxN or NxM patches; as searched.",
            ),
        ] = None,
        force: Annotated[
            bool, typer.Option("--force", help="Replace an earlier export in DIR.")
        ] = False,
        threads: Threads = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Write a pair as ONNX, TFLite and C, checked against what was searched and trained.

        With --arch and --weights: any network of MCUNet's or Once-for-All's JSON format.
        """
        if out is None:
            raise InputError("--out DIR is missing: name the folder to make")
        people = err_console()
        check_subject(
            run,
            pair,
            arch,
            weights,
            calibration,
            normalisation,
            coverage=coverage,
            guarantee=guarantee,
            rate_control=rate_control,
            untrained=untrained,
        )
        wanted = _formats(formats)
        _check_patches(patches, wanted)
        if run is None or pair is None:
            assert arch is not None and weights is not None
            document = _export_files(
                arch,
                weights,
                calibration,
                normalisation,
                out,
                threads,
                formats=wanted,
                force=force,
                plan=plan,
                patches=patches or "off",
            )
        else:
            document = _export_pair(
                run,
                pair,
                out,
                people,
                threads,
                formats=wanted,
                coverages=parse_coverages(coverage or [], ()) or None,
                guarantees=guarantee or [],
                rate_control=rate_control,
                max_drop=max_drop,
                untrained=untrained,
                force=force,
                plan=plan,
                patches=patches,
            )
        if json:
            emit_json(document)
        else:
            _show(console(json=False), document, out)


def _formats(text: str) -> tuple[str, ...]:
    known = ("onnx", "tflite", "c")
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words:
        if word not in known:
            raise InputError(f"--formats {word!r}: expected some of {', '.join(known)}")
    if not words:
        raise InputError(f"--formats names none: expected some of {', '.join(known)}")
    return words


def _check_patches(patches: str | None, formats: tuple[str, ...]) -> None:
    """Refuse a wrong grid, or patches of nothing, before any work."""
    from hybrid_nas.hardware.patches import parse_patches

    if patches is not None and parse_patches(patches) and "c" not in formats:
        raise InputError(f"--patches {patches} is for the C code: add c to --formats")


def _export_pair(
    run: Path,
    number: int,
    out: Path,
    people: Console,
    threads: int | None,
    *,
    guarantees: list[str],
    **settings: Any,
) -> dict[str, Any]:
    import torch

    from hybrid_nas.export.job import ExportJob
    from hybrid_nas.routing.guarantees import parse_promise
    from hybrid_nas.threads import cores

    torch.set_num_threads(threads or cores())
    promises = tuple(parse_promise(text) for text in guarantees)
    job = ExportJob(named_pair(run, number), out, promises=promises, **settings)
    return job.run(lambda text: people.print(f"{text} ...", markup=False))


def _export_files(
    arch: Path,
    weights: Path,
    calibration: str | None,
    normalisation: str | None,
    out: Path,
    threads: int | None,
    **settings: Any,
) -> dict[str, Any]:
    import torch

    from hybrid_nas.data.normalisation import HALF, parse_normalisation
    from hybrid_nas.export.from_files import NetworkJob
    from hybrid_nas.threads import cores

    trained_on = parse_normalisation(normalisation or HALF)
    torch.set_num_threads(threads or cores())
    return NetworkJob(
        arch, weights, out, calibration=calibration, normalisation=trained_on, **settings
    ).run()


def _show(people: Console, document: dict[str, Any], out: Path) -> None:
    accuracy = document.get("accuracy")
    if accuracy is not None:
        rows = [["device alone", *_both(accuracy, lambda one: one["base_accuracy"]), ""]]
        for coverage in accuracy["int8"]["hybrid"]:
            both = _both(accuracy, lambda one, c=coverage: one["hybrid"][c]["accuracy"])
            kept = accuracy["int8"]["hybrid"][coverage]["coverage"]
            first = format(document["router"]["target_coverage"], "g") == coverage
            words = f"hybrid, target {coverage}" + first * ", in force"
            rows.append([words, *both, f"{kept:.1%}"])
        columns = ["test split", "float32 %", "int8 %", "kept in int8"]
        title = f"{accuracy['images']} images, same class on {accuracy['class_agreement']:.1%}"
        people.print(make_table(columns, rows, title=title, numeric=columns[1:]))
    onnx = document.get("onnx")
    for precision, found in (onnx or {}).items():
        unit = "steps of int8" if precision == "int8" else "of a score"
        people.print(
            f"onnxruntime, {precision}: scores differ by at most {found['max_difference']:.3g} "
            f"{unit}, same class on {found['classes_equal']:.2%} of {found['images']} images",
            markup=False,
        )
    for one in document.get("guarantees", ()):
        people.print(
            f"{one['guarantee']}: threshold {one['threshold']:.7g}. {one['reading']}", markup=False
        )
    if "c" in document:
        people.print(_about_c(document["c"]), markup=False)
    rows = [[name, f"{file['bytes']:,}", file["what"]] for name, file in document["files"].items()]
    people.print(make_table(["file", "bytes", "what"], rows, numeric=["bytes"]))
    for note in document.get("notes", ()):
        people.print(note, markup=False)
    people.print(f"Written to {out}, with pair.yaml and MODEL_CARD.md", markup=False)


def _about_c(code: dict[str, Any]) -> str:
    patches = code["patches"]
    how = "not in patches"
    if patches is not None:
        how = (
            f"its first {patches['operators']} operators in {patches['grid']} patches, "
            f"{patches['arena_bytes_without']:,} bytes without"
        )
    return f"C: an arena of {code['arena_bytes']:,} bytes, {how}"


def _both(accuracy: dict[str, Any], value: Any) -> list[str]:
    return [f"{100 * value(accuracy[one]):.1f}" for one in ("float32", "int8")]
