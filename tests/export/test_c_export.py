"""Exported C code against the integer reference, operator by operator, to the bit."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.project import write_c_project
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_reference import int8_image, run_int8
from hybrid_nas.routing.designs import design
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import ByteArray
from tests.export.c_host import FLAGS, HostNetwork, c_network, narrow_graph, random_graph, run_gcc
from tests.export.device_cases import random_router
from tests.hardware.graphs import graphs
from tests.quantise.test_fake_quant import small_network

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


def pixels(graph: Int8Graph, seed: int, n: int = 1) -> ByteArray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, *graph.input_shape)).astype(np.uint8)


def logits(graph: Int8Graph, images: ByteArray) -> np.ndarray:
    """The reference's scores of images (n, h, w, c), (n, classes)."""
    return run_int8(graph, int8_image(images))[-1].reshape(len(images), -1)


def assert_as_reference(host: HostNetwork, image: ByteArray, *, in_arena: bool = False) -> None:
    """Status, all outputs, scores and class."""
    graph = host.network.graph
    wanted = run_int8(graph, int8_image(image))
    answer = host.run(image, in_arena=in_arena)
    assert answer.status == 0
    for index, (found, want) in enumerate(zip(host.traced(), wanted, strict=True)):
        np.testing.assert_array_equal(found, want, f"operator {index}")
    np.testing.assert_array_equal(answer.scores, wanted[-1].reshape(-1))
    assert answer.class_index == wanted[-1].argmax()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_subnets_are_bit_exact_operator_by_operator(seed: int, tmp_path: Path) -> None:
    graph = narrow_graph(seed)
    host = HostNetwork(c_network(graph), tmp_path)
    for number, image in enumerate(pixels(graph, seed, 3)):
        assert_as_reference(host, image, in_arena=number == 1)


def test_a_network_of_another_family_is_bit_exact(tmp_path: Path) -> None:
    """The beginning of the smallest Proxyless network."""
    space = load_space("ofa-proxyless-w1.3", input_shape=(32, 32, 3), classes=7)
    row = space.canonical(space.extremes()[:1])[0]
    architecture = space.architecture(tuple(row.tolist()))
    graph = _pooled(random_graph(architecture.ops[:16], architecture.input_shape, 0), 0)
    assert_as_reference(HostNetwork(c_network(graph), tmp_path), pixels(graph, 0)[0])


MIXED = (
    OpSpec("maxpool", 9, 7, 2, 2, kernel=3, stride=2, padding=1, bias=False, activation="relu6"),
    OpSpec("conv", 5, 4, 2, 5, kernel=3, padding=1, activation="relu"),
    OpSpec("dwconv", 5, 4, 5, 5, kernel=3, stride=2, padding=1, activation="relu6"),
    OpSpec("conv", 3, 2, 5, 5, kernel=3, padding=1),
    OpSpec("add", 3, 2, 5, 5, bias=False, residual=2, activation="relu"),
    OpSpec("avgpool", 3, 2, 5, 5, kernel=2, stride=1, bias=False),
    OpSpec("avgpool", 2, 1, 5, 5, kernel=0, bias=False),
    OpSpec("dense", 1, 1, 5, 3),
)


def test_every_kind_of_operator_is_bit_exact(tmp_path: Path) -> None:
    graph = random_graph(MIXED, (9, 7, 2), 5)
    host = HostNetwork(c_network(graph), tmp_path)
    for image in pixels(graph, 1, 20):
        assert_as_reference(host, image)


@settings(max_examples=10)
@given(graphs(), st.integers(0, 1000))
def test_any_wiring_is_bit_exact(
    tmp_path_factory: pytest.TempPathFactory, ops: tuple[OpSpec, ...], seed: int
) -> None:
    graph = random_graph(ops, (ops[0].h, ops[0].w, ops[0].cin), seed)
    if int(np.prod(run_int8(graph, int8_image(pixels(graph, 0)[0]))[-1].shape)) != graph.classes:
        graph = _pooled(graph, seed)
    host = HostNetwork(c_network(graph), tmp_path_factory.mktemp("any"))
    assert_as_reference(host, pixels(graph, seed)[0])


def _pooled(graph: Int8Graph, seed: int) -> Int8Graph:
    """With a global average pool after it, so that there is one score per class."""
    last = graph.specs[-1]
    pool = OpSpec("avgpool", last.out_h, last.out_w, last.cout, last.cout, kernel=0, bias=False)
    return random_graph((*graph.specs, pool), graph.input_shape, seed)


# -- router

ROUTERS = [
    ("confidence", "entropy"),
    ("linear-features", "signed-gain"),
    ("mlp8-logits", "oracle-label"),
    ("linear-stage1", "gain-regression"),
]


@pytest.fixture(scope="module")
def pair_graph() -> Int8Graph:
    return narrow_graph(4)


def device_router(graph: Int8Graph, kind: str, method: str) -> DeviceRouter:
    """With thresholds that its own scores of random images give."""
    router = DeviceRouter.of(random_router(design(kind), method, graph), graph, (0, 0))
    scores = np.concatenate([send_score(router, graph, x) for x in pixels(graph, 9, 8)])
    router = router.with_thresholds(scores, (0.75, 0.5))
    return router.with_controller(scores, 0.5, memory=4)


def send_score(router: DeviceRouter, graph: Int8Graph, image: ByteArray) -> np.ndarray:
    outputs = run_int8(graph, int8_image(image))
    features = outputs[graph.features_index].reshape(1, -1)
    return router.send_score(outputs[-1].reshape(1, -1), features, outputs[0][None])


@pytest.mark.parametrize(
    ("kind", "method", "hold_image"), [*((*each, True) for each in ROUTERS), (*ROUTERS[1], False)]
)
def test_the_router_decides_as_its_reference(
    pair_graph: Int8Graph, kind: str, method: str, hold_image: bool, tmp_path: Path
) -> None:
    router = device_router(pair_graph, kind, method)
    options = {"router": router, "cuts": (0, 0), "hold_image": hold_image, "coverage": 0.5}
    host = HostNetwork(c_network(pair_graph, **options), tmp_path)
    threshold = router.thresholds[0.5]
    early = router.design.cut > 0
    host.library.hnas_set_coverage.restype = ctypes.c_float
    host.set("answered", ctypes.c_int16, 77)
    host.set("answers", ctypes.c_int, 1)
    for image in pixels(pair_graph, 9, 8):
        score = send_score(router, pair_graph, image)[0]
        assert_as_reference(host, image)
        answer = host.run(image)
        assert answer.send_score == score and answer.sent == bool(score > threshold)
        plain = run_int8(pair_graph, int8_image(image))[-1].reshape(-1)

        for in_arena in (False, True) if hold_image else (False,):
            host.set("answers", ctypes.c_int, 1)
            asked = host.get("asked", ctypes.c_int)
            found = host.run(image, in_arena=in_arena, function="classify")
            assert (found.status, found.sent) == (0, answer.sent)
            assert host.get("asked", ctypes.c_int) == asked + answer.sent
            if not answer.sent:
                assert found.class_index == plain.argmax()
                continue
            assert found.class_index == 77
            assert host.get("asked_timeout", ctypes.c_uint32) == 250
            np.testing.assert_array_equal(host.seen(), image.reshape(-1))
            np.testing.assert_array_equal(found.scores, 0 * plain if early else plain)

            host.set("answers", ctypes.c_int, 0)
            alone = host.run(image, in_arena=in_arena, function="classify")
            assert (alone.status, alone.sent) == (1, True)  # HNAS_NO_ANSWER
            assert alone.class_index == plain.argmax()
            np.testing.assert_array_equal(alone.scores, plain)


def test_thresholds_can_be_set_and_the_controller_follows_its_reference(
    pair_graph: Int8Graph, tmp_path: Path
) -> None:
    router = device_router(pair_graph, "linear-features", "signed-gain")
    assert router.controller is not None
    host = HostNetwork(c_network(pair_graph, router=router), tmp_path)
    library = host.library
    library.hnas_set_coverage.restype = library.hnas_threshold.restype = ctypes.c_float
    assert library.hnas_threshold() == router.thresholds[0.75]  # nearest to 0.7
    assert library.hnas_set_coverage(ctypes.c_float(0.1)) == 0.5
    assert library.hnas_threshold() == router.thresholds[0.5]
    images = list(pixels(pair_graph, 9, 8))
    scores = np.concatenate([send_score(router, pair_graph, image) for image in images])
    library.hnas_set_threshold(ctypes.c_float(scores.max()))
    assert not any(host.run(image).sent for image in images)
    library.hnas_set_threshold(ctypes.c_float(scores.min() - 1))
    assert all(host.run(image).sent for image in images)

    stream = [images[k] for k in np.random.default_rng(0).integers(0, 8, 60)]
    given_scores = np.array([send_score(router, pair_graph, image)[0] for image in stream])
    library.hnas_rate_start()
    decided = [host.run(image).sent for image in stream]
    assert decided == router.controller.run(given_scores.astype(np.float64)).sent.tolist()
    library.hnas_rate_stop()
    assert host.run(images[0]).sent


def test_an_image_that_is_not_kept_is_not_sent(pair_graph: Int8Graph, tmp_path: Path) -> None:
    router = device_router(pair_graph, "confidence", "msp")
    kept = c_network(pair_graph, router=router)
    host = HostNetwork(c_network(pair_graph, router=router, hold_image=False), tmp_path)
    assert host.network.plan().arena_bytes <= kept.plan().arena_bytes
    image = pixels(pair_graph, 0)[0]
    assert host.run(image, in_arena=True, function="classify").status == -2  # HNAS_IMAGE_GONE
    assert host.library.hnas_run(None, None) == -1  # HNAS_NO_POINTER


# -- what is refused


def test_what_has_no_kernel_is_refused() -> None:
    network = small_network("ofa-mbv3-w1.0")
    architecture = network.architecture
    classes = tuple(map(str, range(architecture.classes)))
    exported = ExportedNetwork("se", architecture, float_graph(network), None, classes)
    with pytest.raises(InputError, match="no int8 kernel"):
        CNetwork.of(exported)


def test_names_and_thresholds_must_be_there(pair_graph: Int8Graph) -> None:
    with pytest.raises(InputError, match="2 class names for the 10 scores"):
        CNetwork("net", pair_graph, ("a", "b"))
    router = DeviceRouter.of(random_router(design("confidence"), "msp", pair_graph), pair_graph)
    with pytest.raises(InputError, match="no threshold"):
        c_network(pair_graph, router=router)


# -- builds

MAIN = """
#include <stdio.h>
#include "hnas_model.h"
int main(void)
{
    static uint8_t image[HNAS_IMAGE_BYTES];
    int n = 0;
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        hnas_result result;
        uint8_t *small = hnas_image();
        if (hnas_run(image, &result) != HNAS_OK)
            return 1;
        fwrite(result.scores, 1, HNAS_CLASSES, stdout);
        int h = HNAS_IMAGE_HEIGHT / 2, w = HNAS_IMAGE_WIDTH * 2;
        if (n++ % 20 == 0 && hnas_resize(image, h, w, small) != HNAS_OK)
            return 1;
    }
    return 0;
}
"""


def test_sanitizers_find_nothing_over_200_images(pair_graph: Int8Graph, tmp_path: Path) -> None:
    router = device_router(pair_graph, "linear-features", "signed-gain")
    project = write_c_project(c_network(pair_graph, router=router), tmp_path)
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "program"
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1"]
    include = f"-I{project.include}"
    run_gcc(*FLAGS, *checks, include, *project.sources, tmp_path / "main.c", "-o", program)
    images = pixels(pair_graph, 0, 200)
    done = subprocess.run([program], input=images.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    found = np.frombuffer(done.stdout, np.int8).reshape(200, -1)
    np.testing.assert_array_equal(found, logits(pair_graph, images))


@pytest.mark.skipif(not shutil.which("cppcheck"), reason="needs cppcheck")
def test_cppcheck_finds_nothing(pair_graph: Int8Graph, tmp_path: Path) -> None:
    router = device_router(pair_graph, "linear-features", "signed-gain")
    project = write_c_project(c_network(pair_graph, router=router), tmp_path)
    options = ["--enable=warning,performance,portability", "--error-exitcode=1", "--quiet"]
    # Constants are hundreds of thousands of numbers: nothing to find, and minutes to parse.
    sources = [path for path in project.sources if path.name != "hnas_weights.c"]
    done = subprocess.run(
        ["cppcheck", *options, "--std=c99", f"-I{project.include}", *sources],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("cmake"), reason="needs cmake")
def test_the_project_builds_with_cmake_and_its_example_runs(tmp_path: Path) -> None:
    graph = random_graph(MIXED, (9, 7, 2), 5)
    write_c_project(c_network(graph), tmp_path)
    for arguments in (["-S", tmp_path, "-B", tmp_path / "build"], ["--build", tmp_path / "build"]):
        done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    images = pixels(graph, 0, 3)
    done = subprocess.run(
        [tmp_path / "build" / "classify", "9", "7"], input=images.tobytes(), capture_output=True
    )
    best = logits(graph, images).argmax(axis=1)
    lines = done.stdout.decode().splitlines()
    assert [line.split(" (")[0] for line in lines] == [f"class {k}" for k in best]


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m7"])
def test_it_compiles_for_arm_and_its_sizes_are_as_said(
    pair_graph: Int8Graph, core: str, tmp_path: Path
) -> None:
    router = device_router(pair_graph, "mlp8-logits", "oracle-label")
    project = write_c_project(c_network(pair_graph, router=router), tmp_path)
    symbols: dict[str, int] = {}
    for number, source in enumerate(project.sources):
        out = tmp_path / f"{number}.o"
        options = [f"-mcpu={core}", "-mthumb", "-O2", "-ffreestanding", "-fdata-sections"]
        run = ["arm-none-eabi-gcc", *FLAGS, *options, f"-I{project.include}", "-c", source]
        done = subprocess.run([*run, "-o", out], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        listed = subprocess.run(["arm-none-eabi-nm", "-S", out], capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            match line.split():
                case [_, size, kind, name] if kind in "bBdDrR":
                    symbols[name] = int(size, 16)
    assert symbols.pop("hnas_arena") == project.plan.arena_bytes
    starts = ("hnas_weights", "hnas_scale", "hnas_bias", "hnas_the_router")
    own = ("window_", "requant_", "add_", *starts)
    constants = sum(-(-n // 4) * 4 for name, n in symbols.items() if name.startswith(own))
    assert constants + symbols["threshold"] == project.constant_bytes
