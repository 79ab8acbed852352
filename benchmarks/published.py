"""The published figures in `latency_tables/published/`, and the networks that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid_nas.resources import latency_table_dir
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import Block, ConvBlock, DenseBlock, MBConvBlock, PoolBlock
from hybrid_nas.spaces.interchange import read_architecture
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.yaml_documents import file_yaml

SCHEMA = "hybrid-nas/published/1"


@dataclass(frozen=True)
class Network:
    """A network with published figures; `arch` is None where only its operators are known."""

    ops: tuple[OpSpec, ...]
    shape: tuple[int, int, int]
    arch: Architecture | None = None


@dataclass(frozen=True)
class Figures:
    """Figures of one board: of each runtime, a number per network."""

    board: str
    source: str
    versions: dict[str, str]
    kernels: str = "unknown"
    note: str = ""
    ms: dict[str, dict[str, float]] = field(default_factory=dict)
    energy_uj: dict[str, dict[str, float]] = field(default_factory=dict)
    sram_kib: dict[str, dict[str, float]] = field(default_factory=dict)
    flash_kib: dict[str, dict[str, float]] = field(default_factory=dict)
    leave_out: list[dict[str, Any]] = field(default_factory=list)

    def left_out(self, figure: str, runtime: str) -> set[str]:
        """Networks whose figure no model can describe."""
        return {
            name
            for entry in self.leave_out
            if (entry["figure"], entry["runtime"]) == (figure, runtime)
            for name in entry["networks"]
        }


def published(name: str) -> dict[str, Any]:
    """One file of published figures."""
    return file_yaml(latency_table_dir() / "published" / f"{name}.yaml", SCHEMA)


def load_figures(name: str) -> list[Figures]:
    """The figures in a file, one entry per board."""
    return [Figures(**entry) for entry in published(name)["figures"]]


def load_networks(name: str, zoo: Path) -> dict[str, Network]:
    """The networks of a file whose architecture is known; `zoo` has the MCUNet zoo's JSON files."""
    networks = {}
    for network, entry in published(name)["networks"].items():
        if "ops" in entry:
            networks[network] = op_network(entry["ops"])
        elif "blocks" in entry:
            arch = written_out(entry)
            networks[network] = Network(arch.ops, arch.input_shape, arch)
        elif "json" in entry:
            arch = read_architecture(zoo / entry["json"], resolution=entry["resolution"])
            networks[network] = Network(arch.ops, arch.input_shape, arch)
    return networks


def op_network(rows: Sequence[Sequence[Any]]) -> Network:
    """A network known by its operators only (good for latency, not for a memory plan)."""
    ops = tuple(
        OpSpec(kind, h, w, cin, cout, kernel, stride, kernel // 2)
        for kind, h, w, cin, cout, kernel, stride in rows
    )
    return Network(ops, (ops[0].h, ops[0].w, ops[0].cin))


def written_out(entry: dict[str, Any]) -> Architecture:
    """A MobileNetV2-like network from its blocks, [kernel, expanded, output channels, stride]."""
    side, stem = entry["resolution"], entry["stem"]
    blocks: list[Block] = [ConvBlock(side, side, 3, stem, 3, 2, "relu6")]
    blocks.append(MBConvBlock(*blocks[-1].out_shape, stem, entry["first"], 3, expand=False))
    for kernel, mid, cout, stride in entry["blocks"]:
        h, w, cin = blocks[-1].out_shape
        skip = stride == 1 and cin == cout
        blocks.append(MBConvBlock(h, w, cin, mid, cout, kernel, stride, skip=skip))
    blocks.append(PoolBlock(*blocks[-1].out_shape))
    blocks.append(DenseBlock(1, 1, blocks[-1].cin, entry["classes"]))
    return Architecture((side, side, 3), tuple(blocks), "published network")
