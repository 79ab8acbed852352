"""Exported C code that runs its first operators patch by patch, against the integer reference."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.patch_choice import patches_document, with_patches
from hybrid_nas.export.c_code.project import write_c_project
from hybrid_nas.hardware.patch_planning import plan_patches
from hybrid_nas.hardware.patch_regions import Grid, Patches
from hybrid_nas.hardware.patches import GRIDS, STACK_BYTES
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_reference import int8_image, run_int8
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import ConvBlock, DenseBlock, PoolBlock
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.typing import ByteArray
from tests.export.c_host import FLAGS, HostNetwork, c_network, narrow_graph, random_graph, run_gcc
from tests.export.test_c_export import MAIN, device_router, logits, pixels
from tests.hardware.stages import Stage, input_shape, stages

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


def assert_as_reference(host: HostNetwork, image: ByteArray, *, in_arena: bool = False) -> None:
    """The stage's output, all outputs after it, and the scores."""
    assert host.network.patches is not None
    wanted = run_int8(host.network.graph, int8_image(image))
    answer = host.run(image, in_arena=in_arena)
    assert answer.status == 0
    rest = wanted[host.network.patches.n_ops - 1 :]
    for index, (found, want) in enumerate(zip(host.traced(), rest, strict=True)):
        np.testing.assert_array_equal(found, want, f"operator {index} after the stage")
    np.testing.assert_array_equal(answer.scores, wanted[-1].reshape(-1))


@settings(max_examples=8)
@given(stages(), st.integers(0, 1000))
def test_any_stage_is_bit_exact(
    tmp_path_factory: pytest.TempPathFactory, stage: Stage, seed: int
) -> None:
    ops, patches = stage
    graph = random_graph(ops, input_shape(ops), seed)
    folder = tmp_path_factory.mktemp("stage")
    assert_as_reference(
        HostNetwork(c_network(graph, patches=patches), folder), pixels(graph, seed)[0]
    )


@pytest.fixture(scope="module")
def subnet() -> tuple[Architecture, Int8Graph]:
    """A network of space `mcunet` that patches help."""
    space = load_space("mcunet", input_shape=(48, 48, 3), classes=10)
    row = space.canonical(space.extremes()[1:])[0].copy()
    row[:2] = 0  # resolution and width
    architecture = space.architecture(tuple(space.canonical(row[None])[0].tolist()))
    return architecture, random_graph(architecture.ops, architecture.input_shape, 0)


@pytest.mark.parametrize("grid", ["2", "4", "4x1"])
def test_a_subnet_is_bit_exact_and_as_small_as_predicted(
    subnet: tuple[Architecture, Int8Graph], grid: str, tmp_path: Path
) -> None:
    architecture, graph = subnet
    whole = c_network(graph)
    network = with_patches(whole, architecture, grid)
    assert network.patches is not None
    host = HostNetwork(network, tmp_path)
    for number, image in enumerate(pixels(graph, 0, 2)):
        assert_as_reference(host, image, in_arena=number == 1)
    runtime = load_runtime("hnas-c")
    predicted = plan_patches(graph.specs, graph.input_shape, runtime, network.patches).peak_bytes
    arena = network.plan().arena_bytes
    beside = runtime.sram.fixed_bytes + STACK_BYTES
    assert arena == predicted - beside < whole.plan().arena_bytes
    written = json.loads((tmp_path / "plan.json").read_text())
    assert written["patches"] == {
        "operators": network.patches.n_ops,
        "grid": str(network.patches.grid),
    }


def test_auto_is_the_smallest_of_all_and_a_limit_keeps_it_whole(
    subnet: tuple[Architecture, Int8Graph],
) -> None:
    architecture, graph = subnet
    whole = c_network(graph)
    auto = with_patches(whole, architecture, "auto")
    arenas = [with_patches(whole, architecture, str(grid)).plan().arena_bytes for grid in GRIDS]
    assert auto.plan().arena_bytes == min(arenas) < whole.plan().arena_bytes
    assert with_patches(whole, architecture, "off") is whole
    assert with_patches(whole, architecture, "auto", limit_bytes=10**7) is whole
    document = patches_document(auto, auto.plan())
    assert document is not None
    assert document["arena_bytes"] < document["arena_bytes_without"] and document["extra_macs"] > 0
    assert patches_document(whole, whole.plan()) is None


def test_a_grid_that_saves_nothing_is_refused() -> None:
    blocks = (ConvBlock(16, 16, 3, 16, 5, 2), PoolBlock(8, 8, 16), DenseBlock(1, 1, 16, 10))
    architecture = Architecture((16, 16, 3), blocks)
    network = c_network(random_graph(architecture.ops, architecture.input_shape, 0))
    assert with_patches(network, architecture, "auto") is network
    with pytest.raises(InputError, match="--patches 2: with these patches net needs no less"):
        with_patches(network, architecture, "2")


@pytest.mark.parametrize("kind", ["linear-features", "linear-stage1"])
def test_a_router_decides_as_without(kind: str, tmp_path: Path) -> None:
    graph = narrow_graph(4)
    router = device_router(graph, kind, "signed-gain")
    stage = Patches(1, Grid(2, 2))
    networks = [
        CNetwork("net", graph, c_network(graph).classes, router, (0, 0), patches=patches)
        for patches in (None, stage)
    ]
    hosts = [HostNetwork(net, tmp_path / str(n)) for n, net in enumerate(networks)]
    for image in pixels(graph, 3, 3):
        answers = [host.run(image, function="classify") for host in hosts]
        assert answers[0].sent == answers[1].sent
        assert answers[0].send_score == answers[1].send_score
        np.testing.assert_array_equal(answers[0].scores, answers[1].scores)
    if kind == "linear-stage1":
        with pytest.raises(InputError, match="a router too"):
            CNetwork(
                "net", graph, networks[0].classes, router, (0, 0), patches=Patches(3, Grid(2, 2))
            ).plan()


def test_sanitizers_find_nothing(subnet: tuple[Architecture, Int8Graph], tmp_path: Path) -> None:
    architecture, graph = subnet
    network = with_patches(c_network(graph), architecture, "3")
    project = write_c_project(network, tmp_path)
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "program"
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1"]
    sources = [*project.sources, tmp_path / "main.c"]
    run_gcc(*FLAGS, *checks, f"-I{project.include}", *sources, "-o", program)
    images = pixels(graph, 0, 8)
    done = subprocess.run([program], input=images.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    found = np.frombuffer(done.stdout, np.int8).reshape(8, -1)
    np.testing.assert_array_equal(found, logits(graph, images))


@pytest.mark.skipif(not shutil.which("cppcheck"), reason="needs cppcheck")
def test_cppcheck_finds_nothing(subnet: tuple[Architecture, Int8Graph], tmp_path: Path) -> None:
    architecture, graph = subnet
    project = write_c_project(with_patches(c_network(graph), architecture, "2"), tmp_path)
    options = ["--enable=warning,performance,portability", "--error-exitcode=1", "--quiet"]
    sources = [tmp_path / "src" / name for name in ("hnas_patches.c", "hnas_model.c")]
    done = subprocess.run(
        ["cppcheck", *options, "--std=c99", f"-I{project.include}", *sources],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_tables_are_as_large_as_counted(
    subnet: tuple[Architecture, Int8Graph], tmp_path: Path
) -> None:
    _, graph = subnet
    end = 1 + next(index for index, op in enumerate(graph.specs) if op.op == "add")
    network = c_network(graph, patches=Patches(end, Grid(3, 3)))
    project = write_c_project(network, tmp_path)
    sizes: dict[str, int] = {}
    for source in (tmp_path / "src" / name for name in ("hnas_model.c", "hnas_patches.c")):
        out = tmp_path / f"{source.stem}.o"
        options = ["-mcpu=cortex-m7", "-mthumb", "-O2", "-ffreestanding", "-fdata-sections"]
        run = ["arm-none-eabi-gcc", *FLAGS, *options, f"-I{project.include}", "-c", source]
        done = subprocess.run([*run, "-o", out], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        listed = subprocess.run(["arm-none-eabi-nm", "-S", out], capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            match line.split():
                case [_, size, kind, name] if kind in "bBdDrR":
                    sizes[name] = int(size, 16)
    assert sizes["hnas_arena"] == network.plan().arena_bytes
    names = ("stage_ops", "stage_tensors", "stage_rows", "stage_columns", "patched_stage")
    tables = sum(sizes[name] for name in names) + sizes[f"window_{end - 1}"]
    assert tables == network.constant_bytes - c_network(graph).constant_bytes
