"""``hybrid-nas estimate``: SRAM, flash and latency of one architecture, op by op."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_nas.cli.options import size_option
from hybrid_nas.cli.output import console, emit_json, make_table
from hybrid_nas.units import describe_bytes, format_bytes, format_ms

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.hardware.estimate import Estimate

_BAR_WIDTH = 10


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("estimate")
    def estimate(
        architecture: Annotated[
            str,
            typer.Argument(
                metavar="ARCH.json|GENES",
                help="Architecture JSON of MCUNet or Once-for-All, a file of genes, or the JSON.",
            ),
        ],
        board: Annotated[
            str,
            typer.Option(
                "--board",
                metavar="BOARD|FILE.yaml",
                help="Board id (`hybrid-nas boards` lists them), or the file of your own board.",
            ),
        ] = "stm32f746",
        runtime: Annotated[
            str | None,
            typer.Option(
                "--runtime",
                help="tinyengine, cmsis-nn, tflm, x-cube-ai, hnas-c or onnxruntime; the board's.",
            ),
        ] = None,
        space: Annotated[
            str | None,
            typer.Option("--space", help="Search space of genes that do not name theirs."),
        ] = None,
        resolution: Annotated[
            int | None, typer.Option("--resolution", min=1, help="Longer side of the image.")
        ] = None,
        classes: Annotated[
            int | None, typer.Option("--classes", min=1, help="Number of outputs.")
        ] = None,
        uplink_image: Annotated[
            str,
            typer.Option(
                "--uplink-image",
                help="Image held until the router has decided: none, input, WxHxC or jpeg:SIZE.",
            ),
        ] = "none",
        reserve_sram: Annotated[
            int,
            size_option("--reserve-sram", help="For radio and application.", allow_zero=True),
        ] = 0,
        reserve_flash: Annotated[
            int,
            size_option("--reserve-flash", help="For radio and application.", allow_zero=True),
        ] = 0,
        patches: Annotated[
            str,
            typer.Option(
                "--patches",
                metavar="off|auto|N|NxM",
                help="Run the first blocks patch by patch, in less SRAM: the best, or a grid.",
            ),
        ] = "off",
        table: Annotated[
            Path | None,
            typer.Option("--table", help="Latency table, instead of the one that comes with it."),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Estimate what an architecture takes on a board: memory, flash, time, op by op."""
        from hybrid_nas.hardware import estimate as work
        from hybrid_nas.hardware.board_files import named_board
        from hybrid_nas.hardware.latency_files import table_for
        from hybrid_nas.hardware.patches import parse_patches
        from hybrid_nas.hardware.runtimes import load_runtime
        from hybrid_nas.hardware.uplink import UplinkImage
        from hybrid_nas.spaces.interchange import read_architecture

        on = named_board(board)
        under = load_runtime(runtime or on.runtime)
        result = work.estimate(
            read_architecture(architecture, space, resolution, classes),
            on,
            under,
            table_for(on.id, under.id, table),
            UplinkImage.parse(uplink_image),
            reserve_sram_bytes=reserve_sram,
            reserve_flash_bytes=reserve_flash,
            grids=parse_patches(patches),
            need_latency=False,
        )
        if json:
            emit_json(result.document())
        else:
            _show(console(json=False), result)


def _show(out: Console, result: Estimate) -> None:
    h, w, c = result.architecture.input_shape
    title = (
        f"{result.architecture.name}, {h}×{w}×{c}, {result.architecture.classes} classes, on "
        f"{result.board.name} with {result.runtime.name}"
    )
    columns = ["op", "input", "output", "kernel", "MMACs", "flash", "live", "", "latency", " "]
    numeric = ("kernel", "MMACs", "flash", "live", "latency")
    out.print(make_table(columns, _rows(result), title=title, numeric=numeric))
    for line in _totals(result):
        out.print(line, markup=False)


def _rows(result: Estimate) -> list[list[object]]:
    most = max(op.live_bytes for op in result.ops)
    slowest = max((op.latency_ms or 0.0 for op in result.ops), default=0.0)
    rows: list[list[object]] = []
    for op in result.ops:
        spec = op.spec
        kernel = f"{spec.kernel}/{spec.stride}" if spec.kernel > 1 or spec.stride > 1 else None
        peak = " peak" if op.name == result.peak_name else ""
        latency = None if op.latency_ms is None else format_ms(op.latency_ms)
        rows.append(
            [
                op.name,
                f"{spec.h}×{spec.w}×{spec.cin}",
                f"{spec.out_h}×{spec.out_w}×{spec.cout}",
                kernel,
                f"{spec.macs / 1e6:.2f}" if spec.macs else None,
                format_bytes(op.flash_bytes) if op.flash_bytes else None,
                format_bytes(op.live_bytes),
                _bar(op.live_bytes / most) + peak,
                latency,
                _bar(op.latency_ms / slowest) if op.latency_ms and slowest else "",
            ]
        )
    return rows


def _bar(share: float) -> str:
    return "█" * max(1, round(_BAR_WIDTH * share))


def _totals(result: Estimate) -> list[str]:
    plan, limits = result.plan, result.limits
    parts = [f"{name} {format_bytes(size)}" for name, size in plan.buffer_bytes.items() if size]
    if plan.persistent_bytes:
        parts.append(f"runtime {format_bytes(plan.persistent_bytes)}")
    if plan.reserve_bytes:
        parts.append(f"reserve {format_bytes(plan.reserve_bytes)}")
    beside = f" (beside the tensors: {', '.join(parts)})" if parts else ""
    lines = [
        f"SRAM     {_against(result.sram_bytes, limits.sram_bytes)}; peak at "
        f"{result.peak_name}{beside}",
        f"Flash    {_against(result.flash_bytes, limits.flash_bytes)}",
        f"Latency  {_latency(result)}",
        *_energy(result),
        f"MACs     {result.macs:,}; parameters {result.params:,}",
        *_patches(result),
        f"Uplink image: {result.uplink}. Reserved for radio and application: "
        f"{format_bytes(plan.reserve_bytes)} of SRAM, "
        f"{format_bytes(result.reserve_flash_bytes)} of flash.",
    ]
    error = result.runtime.fit.get("sram")
    if error:
        lines.append(
            f"{result.runtime.id} {result.runtime.version} against {error.networks} published "
            f"networks: SRAM off by {error.mean:.1%} on average, {error.worst:.1%} at worst."
        )
    return lines


def _patches(result: Estimate) -> list[str]:
    """What patches do, where they were asked for."""
    if result.whole_bytes is None:
        return []
    whole = format_bytes(result.whole_bytes)
    if result.patched is None:
        return [f"Patches  none: no stage needs less than the {whole} of the whole network"]
    patches, extra = result.patched.patches, result.patched.extra_macs
    blocks = 1 + result.ops[patches.n_ops - 1].block
    share = extra / result.architecture.macs
    return [
        f"Patches  {patches.grid} of the first {blocks} blocks ({patches.n_ops} operators): SRAM "
        f"{whole} -> {format_bytes(result.sram_bytes)}, MACs +{extra:,} ({share:+.1%}); their "
        "latency is an estimate"
    ]


def _against(size: int, limit: int) -> str:
    verdict = "fits" if size <= limit else "DOES NOT FIT"
    return f"{describe_bytes(size)} of {format_bytes(limit)}: {size / limit:.0%}, {verdict}"


def _latency(result: Estimate) -> str:
    if result.latency_ms is None or result.table is None:
        return f"unknown: {result.no_latency}"
    identity, validation = result.table.identity, result.table.validation
    text = (
        f"{format_ms(result.latency_ms)}, {result.latency_is} ({identity.runtime} "
        f"{identity.runtime_version}, {identity.clock_hz / 1e6:g} MHz"
    )
    if validation:
        text += f"; off by {validation.mean:.1%} on average, {validation.worst:.1%} at worst"
    outside = sum(op.extrapolated for op in result.ops)
    if outside:
        text += f"; {outside} operators outside what was measured"
    return text + ")"


def _energy(result: Estimate) -> list[str]:
    if result.energy_mj is None or result.table is None or result.table.energy is None:
        return []
    energy = result.table.energy
    return [
        f"Energy   {result.energy_mj:.3g} mJ, predicted: latency x {energy.power_mw:g} mW; off by "
        f"{energy.mean:.1%} on average, {energy.worst:.1%} at worst ({energy.source})"
    ]
