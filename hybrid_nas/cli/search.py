"""``hybrid-nas search``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hybrid_nas.cli.multivalue import parse_coverages
from hybrid_nas.cli.options import duration_option, size_option, time_option, value_option
from hybrid_nas.energy import parse_mj, parse_mw
from hybrid_nas.errors import InputError

_DEFAULT_COVERAGES = (0.9, 0.7, 0.5)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("search")
    def search(
        sram: Annotated[int | None, size_option("--sram", help="SRAM limit; the board's.")] = None,
        flash: Annotated[
            int | None, size_option("--flash", help="Flash limit; the board's.")
        ] = None,
        latency: Annotated[
            float | None, time_option("--latency", help="Limit on the device's own latency.")
        ] = None,
        mean_latency: Annotated[
            float | None,
            time_option(
                "--mean-latency",
                help="Best accuracy at this mean latency: queries as often as it allows.",
            ),
        ] = None,
        mean_energy: Annotated[
            float | None,
            value_option(
                "--mean-energy",
                parse=parse_mj,
                metavar="ENERGY",
                help="Best accuracy at this mean energy of an input, e.g. 5mJ.",
            ),
        ] = None,
        max_loss: Annotated[
            float | None,
            typer.Option(
                "--max-loss",
                metavar="POINTS",
                help="Lowest mean latency (or --objective mean-macs, mean-energy) at most so many "
                "points below the cloud alone, e.g. 0.5.",
            ),
        ] = None,
        force_latency: Annotated[
            bool,
            typer.Option(
                "--force-latency",
                help="Limit latency also with a table that is off by more than 20 %.",
            ),
        ] = False,
        coverage: Annotated[
            list[str] | None,
            typer.Option(
                "--coverage",
                metavar="SHARE...",
                help="Shares kept on the device: the first is optimised, all are reported. "
                "Default 0.7, with 0.9 and 0.5 reported.",
            ),
        ] = None,
        objective: Annotated[
            list[str] | None,
            typer.Option(
                "--objective",
                help="accuracy, mean-latency, mean-macs, mean-energy, auc, base-accuracy, "
                "edge-latency, sram or flash; repeat for several. Default: accuracy and "
                "mean-latency; with --search-cloud, accuracy and mean-macs.",
            ),
        ] = None,
        board: Annotated[
            str | None,
            typer.Option(
                "--board",
                metavar="BOARD|FILE.yaml",
                help="Board id, or the file of your own board; stm32f746. See 'boards'.",
            ),
        ] = None,
        runtime: Annotated[
            str | None, typer.Option("--runtime", help="Inference runtime; the board's.")
        ] = None,
        table: Annotated[
            Path | None, typer.Option("--table", help="Latency table; the shipped one.")
        ] = None,
        data: Annotated[
            str | None,
            typer.Option("--data", help="Image folder, .npz or CIFAR folder; digits."),
        ] = None,
        image_size: Annotated[
            str | None, typer.Option("--image-size", help="Resize images to HxW when reading.")
        ] = None,
        group: Annotated[
            str | None,
            typer.Option("--group", help="Pattern for the source group in image file names."),
        ] = None,
        supernet: Annotated[
            str | None, typer.Option("--supernet", help="Supernet file or published id.")
        ] = None,
        space: Annotated[
            str | None, typer.Option("--space", help="Search space of an OFA checkpoint.")
        ] = None,
        cloud: Annotated[
            str | None,
            typer.Option("--cloud", help="Cloud model: .onnx, .pt, or .npz of predictions."),
        ] = None,
        cloud_normalisation: Annotated[
            str | None,
            typer.Option(
                "--cloud-normalisation",
                metavar="NAME|MEAN/STD",
                help="What an .onnx cloud's float input was trained with: half (-1 .. 1, the "
                "default), unit (0 .. 1), imagenet, or numbers, e.g. 0.1307/0.3081.",
            ),
        ] = None,
        search_cloud: Annotated[
            str | None,
            typer.Option(
                "--search-cloud",
                metavar="[SUPERNET]",
                help="Choose the cloud with the base: a subnet of the run's supernet, or of "
                "another supernet's file or published id.",
            ),
        ] = None,
        cloud_space: Annotated[
            str | None,
            typer.Option(
                "--cloud-space", help="Search space of an OFA checkpoint in --search-cloud."
            ),
        ] = None,
        no_cloud: Annotated[
            bool, typer.Option("--no-cloud", help="Search abstaining classifiers.")
        ] = False,
        router: Annotated[
            list[str] | None,
            typer.Option("--router", help="Router design to choose from; repeat for several."),
        ] = None,
        router_objective: Annotated[
            str | None,
            typer.Option(
                "--router-objective",
                help="auto, signed-gain, gain-regression, two-stage or oracle-label (the paper's).",
            ),
        ] = None,
        trials: Annotated[
            int | None, typer.Option("--trials", min=1, help="Candidates to score; 150.")
        ] = None,
        time_budget: Annotated[
            float | None, duration_option("--time-budget", help="Stop after this long, e.g. 5m.")
        ] = None,
        sampler: Annotated[
            str | None,
            typer.Option("--sampler", help="guided (default), tpe, nsga2, gp or random."),
        ] = None,
        warm_start: Annotated[
            list[str] | None,
            typer.Option(
                "--warm-start",
                metavar="RUN",
                help="Begin with what an earlier run scored, also under other limits or for "
                "another board; repeat for several.",
            ),
        ] = None,
        patience: Annotated[
            int | None,
            typer.Option(
                "--patience",
                min=0,
                metavar="N",
                help="Stop when N candidates in a row add no hypervolume beyond its confidence; "
                "never.",
            ),
        ] = None,
        seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed; 0.")] = None,
        jobs: Annotated[
            int | None, typer.Option("--jobs", min=1, help="Worker processes; 1.")
        ] = None,
        threads: Annotated[
            int | None, typer.Option("--threads", min=1, help="Threads per worker; all cores.")
        ] = None,
        uplink_ms: Annotated[
            float | None,
            time_option("--uplink-ms", help="Latency of the uplink; 1900 ms.", allow_zero=True),
        ] = None,
        cloud_ms: Annotated[
            float | None,
            time_option("--cloud-ms", help="Latency of the cloud; 100 ms.", allow_zero=True),
        ] = None,
        uplink: Annotated[
            str | None,
            typer.Option(
                "--uplink",
                metavar="NAME|FILE",
                help="Model of the uplink: ble-1m, lora-sf7-eu868, nb-iot, wifi-esp32, or a .yaml "
                "file; instead of --uplink-ms.",
            ),
        ] = None,
        uplink_bytes: Annotated[
            int | None,
            size_option(
                "--uplink-bytes", help="What a query sends over --uplink; the picture's bytes."
            ),
        ] = None,
        cloud_on_device: Annotated[
            bool,
            typer.Option(
                "--cloud-on-device",
                help="Both networks on the device, nothing sent: the cloud's in flash too.",
            ),
        ] = False,
        board_power: Annotated[
            float | None,
            value_option(
                "--board-power",
                parse=parse_mw,
                metavar="POWER",
                help="Of the board while a network runs; the latency table's.",
            ),
        ] = None,
        battery: Annotated[
            str | None,
            typer.Option("--battery", help="Report days per charge, e.g. 1000mAh@3.7V or 3.7Wh."),
        ] = None,
        per_day: Annotated[
            float | None, typer.Option("--per-day", help="Inputs a day, with --battery.")
        ] = None,
        sleep_power: Annotated[
            float | None,
            value_option(
                "--sleep-power",
                parse=parse_mw,
                metavar="POWER",
                help="Drawn all the time, with --battery; 0.",
            ),
        ] = None,
        uplink_image: Annotated[
            str | None,
            typer.Option(
                "--uplink-image",
                help="Held in SRAM until the router decides: input (default), none, WxHxC, "
                "jpeg:BYTES.",
            ),
        ] = None,
        reserve_sram: Annotated[
            int | None,
            size_option(
                "--reserve-sram", help="Kept for radio and application; 0.", allow_zero=True
            ),
        ] = None,
        reserve_flash: Annotated[
            int | None,
            size_option(
                "--reserve-flash", help="Kept for radio and application; 0.", allow_zero=True
            ),
        ] = None,
        patches: Annotated[
            str | None,
            typer.Option(
                "--patches",
                help="auto: a base that does not fit in SRAM runs its first blocks patch by patch; "
                "off (default).",
            ),
        ] = None,
        run: Annotated[
            Path | None, typer.Option("--run", help="Run directory; runs/search-N.")
        ] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on with the run in --run (or the last one).")
        ] = False,
        storage: Annotated[
            str | None,
            typer.Option(
                "--storage",
                metavar="URL",
                help="Where the study is: postgresql://USER@HOST/DATABASE for many machines, "
                "sqlite:///FILE, journal:///FILE; a file in the run.",
            ),
        ] = None,
        study: Annotated[
            str | None,
            typer.Option(
                "--study", help="Its name there, joined if it exists; the run directory's, new."
            ),
        ] = None,
        heartbeat: Annotated[
            int,
            typer.Option(
                "--heartbeat",
                min=1,
                metavar="SECONDS",
                help="Between two signs of life of a worker; after three times as long without "
                "one its candidate is taken from it.",
            ),
        ] = 20,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Search base-router pairs that fit a board, and write the Pareto front with a report."""
        from hybrid_nas.cli.search_work import run_search_command

        if cloud is not None and no_cloud:
            raise InputError("--cloud and --no-cloud exclude each other: give one of them")
        _check_times(uplink, uplink_ms, cloud_ms, cloud_on_device)
        given: dict[str, Any] = {
            "sram_bytes": sram,
            "flash_bytes": flash,
            "latency_ms": latency,
            "mean_latency_ms": mean_latency,
            "mean_energy_mj": mean_energy,
            "max_loss": max_loss,
            "objectives": tuple(objective) if objective else None,
            "runtime": runtime,
            "table": None if table is None else str(table),
            "data": data,
            "image_size": image_size,
            "group": group,
            "supernet": supernet,
            "space": space,
            "cloud": "none" if no_cloud else cloud,
            "cloud_normalisation": cloud_normalisation,
            "search_cloud": search_cloud,
            "cloud_space": cloud_space,
            "routers": tuple(router) if router else None,
            "router_objective": router_objective,
            "trials": trials,
            "time_budget_s": time_budget,
            "sampler": sampler,
            "warm_start": tuple(warm_start) if warm_start else None,
            "patience": patience,
            "seed": seed,
            "jobs": jobs,
            "threads": threads,
            "uplink_ms": uplink_ms,
            "cloud_ms": cloud_ms,
            "uplink": None if uplink is None else _uplink(uplink),
            "uplink_bytes": uplink_bytes,
            "cloud_on_device": cloud_on_device or None,
            "power_mw": board_power,
            "battery": battery,
            "per_day": per_day,
            "sleep_mw": sleep_power,
            "uplink_image": uplink_image,
            "patches": patches,
            "reserve_sram_bytes": reserve_sram,
            "reserve_flash_bytes": reserve_flash,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if board is not None:
            given = _board(board) | given
        if coverage:
            given |= _coverages(coverage)
        run_search_command(given, run, resume, (storage, study, heartbeat), force_latency, json)


def _board(spec: str) -> dict[str, Any]:
    """Settings of a board, with its runtime; of the user's own also what its file says."""
    from hybrid_nas.hardware.board_files import board_entry, is_board_file, named_board

    board = named_board(spec)
    own = board_entry(board) if is_board_file(spec) else None
    return {"board": board.id, "runtime": board.runtime, "own_board": own}


def _uplink(spec: str) -> dict[str, Any]:
    from hybrid_nas.routing.uplink_files import read_uplink

    return read_uplink(spec)


def _check_times(
    uplink: str | None, uplink_ms: float | None, cloud_ms: float | None, on_device: bool
) -> None:
    """Refuse two sources of the same time."""
    if uplink is not None and uplink_ms is not None:
        raise InputError("--uplink and --uplink-ms exclude each other: give one of them")
    if on_device and (uplink_ms is not None or cloud_ms is not None or uplink is not None):
        raise InputError(
            "--cloud-on-device takes its time from the latency table: leave out --uplink, "
            "--uplink-ms and --cloud-ms"
        )


def _coverages(texts: list[str]) -> dict[str, Any]:
    wanted = parse_coverages(texts, _DEFAULT_COVERAGES)
    reported = wanted if len(wanted) > 1 else {*wanted, *_DEFAULT_COVERAGES}
    return {
        "coverages": tuple(sorted(reported, reverse=True)),
        "target_coverage": wanted[0],
    }
