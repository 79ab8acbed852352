"""The router on a device: C against its Python twin, bit for bit, and both against the fitted."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from hybrid_nas.errors import InputError
from hybrid_nas.export.device_layers import round_rows
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.export.device_signals import Ranked, confidence
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.routing.confidence import CONFIDENCES, confidence_score
from hybrid_nas.routing.designs import ALL_DESIGNS, design
from hybrid_nas.routing.drift import RateController
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.network import Layer, RouterNetwork
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.signals import signal_blocks
from hybrid_nas.routing.thresholds import NEVER_SEND, fit_threshold, sent
from hybrid_nas.typing import Float32Array, FloatArray
from tests.export.device_cases import (
    CUTS,
    FIRMWARE,
    Compiled,
    Inputs,
    all_methods,
    arm_program,
    assert_same_bits,
    base,
    mirrored,
    needs_gcc,
    random_router,
    routers_of,
    some_methods,
)

SIZES = [(10, 33), (2, 5), (3, 1), (1000, 40)]


def real_outputs(graph: Int8Graph, inputs: Inputs) -> ModelOutputs:
    """The integers' meaning in float64, as routers are fitted to it."""

    def real(index: int, x: np.ndarray) -> FloatArray:
        affine = graph.affine(index)
        return affine.scale * (x.astype(np.float64) - affine.zero)

    stages = tuple(real(cut, inputs.stage).mean((1, 2)) for cut in CUTS)
    logits, features = real(len(graph.ops) - 1, inputs.scores), real(3, inputs.features)
    return ModelOutputs(logits=logits, features=features, stage_features=stages)


# --- the C code --------------------------------------------------------------------------------


@needs_gcc
@pytest.mark.parametrize("flags", [["-O2"], ["-O0", "-fsanitize=undefined,bounds"]])
def test_c_agrees_to_the_bit(tmp_path: Path, flags: list[str]) -> None:
    """Every design, objective and confidence; scores at their extremes among the inputs."""
    if flags != ["-O2"]:
        flags = [*flags, "-fno-sanitize-recover=all"]
    for seed, (classes, features) in enumerate(SIZES if flags == ["-O2"] else SIZES[:2]):
        graph = base(classes, features, seed=seed)
        methods = all_methods() if seed < 2 and flags == ["-O2"] else some_methods()
        routers, inputs = routers_of(graph, methods), Inputs.of(graph, 100, seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        library = Compiled(routers, folder, flags)
        for index, router in enumerate(routers):
            found = library.scores(index, router, inputs)
            assert np.isfinite(found).all()
            assert_same_bits(found, mirrored(router, inputs))


@needs_gcc
def test_a_compiler_that_may_fuse_does_not(tmp_path: Path) -> None:
    """Where the computer has such instructions; without the source's own pragma, scores differ."""
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists() or " fma " not in cpu.read_text():
        pytest.skip("needs an x86 with FMA")
    graph = base(10, 33)
    routers, inputs = routers_of(graph, some_methods()), Inputs.of(graph)
    fusing = ["-O3", "-mfma", "-ffp-contract=fast"]
    library = Compiled(routers, tmp_path, fusing)
    for index, router in enumerate(routers):
        assert_same_bits(library.scores(index, router, inputs), mirrored(router, inputs))
    folder = tmp_path / "fused"
    folder.mkdir()
    text = (FIRMWARE / "router" / "hnas_router.c").read_text()
    (folder / "hnas_router.c").write_text(text.replace("#pragma", "// #pragma"))
    fused = Compiled(routers, folder, fusing, folder / "hnas_router.c")
    pairs = ((fused.scores(i, r, inputs), mirrored(r, inputs)) for i, r in enumerate(routers))
    assert any((found != expected).any() for found, expected in pairs)


@needs_gcc
def test_what_would_change_scores_does_not_compile() -> None:
    source = FIRMWARE / "router" / "hnas_router.c"
    command = ["gcc", "-std=c99", "-ffast-math", "-fsyntax-only", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode and "-ffast-math changes scores" in done.stderr


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize(
    "flags",
    [
        ["-mcpu=cortex-m0"],
        ["-mcpu=cortex-m3"],
        ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
        ["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"],
        ["-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
    ],
    ids=["m0", "m3", "m4", "m7", "m33"],
)
def test_it_compiles_for_cortex_m_and_calls_only_libgcc(tmp_path: Path, flags: list[str]) -> None:
    objects = tmp_path / "router.o"
    command = ["arm-none-eabi-gcc", "-std=c99", "-mthumb", "-O2", "-ffreestanding", *flags]
    warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-ffp-contract=off"]
    source = FIRMWARE / "router" / "hnas_router.c"
    subprocess.run([*command, *warnings, "-c", source, "-o", objects], check=True)
    listed = subprocess.run(
        ["arm-none-eabi-nm", "-u", objects], capture_output=True, text=True, check=True
    )
    called = {line.split()[-1] for line in listed.stdout.splitlines()}
    assert {name for name in called if not name.startswith("__aeabi_")} <= {"memcpy"}
    sections = subprocess.run(
        ["arm-none-eabi-size", objects], capture_output=True, text=True, check=True
    )
    data, bss = map(int, sections.stdout.splitlines()[1].split()[1:3])
    assert data == bss == 0


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)
@pytest.mark.parametrize(
    ("machine", "flags"),
    [
        ("microbit", ["-mcpu=cortex-m0"]),
        ("mps2-an500", ["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"]),
    ],
)
def test_emulated_cores_agree_to_the_bit(tmp_path: Path, machine: str, flags: list[str]) -> None:
    """Software floats and an FPU that could fuse."""
    graph = base(10, 33, stage=(3, 7))
    routers, inputs = routers_of(graph, some_methods()), Inputs.of(graph, 12)
    program = arm_program(routers, inputs, flags, tmp_path)
    command = ["qemu-system-arm", "-M", machine, "-kernel", program, "-display", "none"]
    command += ["-semihosting-config", "enable=on,target=native", "-serial", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    printed = [int(line, 16) for line in (done.stdout + done.stderr).split() if len(line) == 8]
    expected = np.concatenate([mirrored(router, inputs) for router in routers])
    assert_same_bits(np.array(printed, np.uint32).view(np.float32), expected)


# --- what the constants take -------------------------------------------------------------------


def fit_worst(kind: str, graph: Int8Graph) -> DeviceRouter:
    method = "signed-gain" if design(kind).blocks else "msp"
    router = DeviceRouter.of(random_router(design(kind), method, graph), graph, CUTS)
    return router.with_controller(np.linspace(-1.0, 1.0, 50, dtype=np.float32), 0.7)


@pytest.mark.parametrize("kind", ALL_DESIGNS)
@pytest.mark.parametrize(("classes", "features"), [*SIZES, (10, 160), (100, 7)])
def test_the_search_counts_what_the_largest_router_takes(
    kind: str, classes: int, features: int
) -> None:
    graph = base(classes, features)
    found = fit_worst(kind, graph)
    width = found.reading.width
    assert found.flash_bytes == design(kind).flash_bytes(classes, width)
    assert found.sram_bytes == design(kind).sram_bytes(classes, width)


@pytest.mark.parametrize(("classes", "features"), SIZES)
def test_no_router_takes_more_than_the_search_counts(classes: int, features: int) -> None:
    graph = base(classes, features)
    for router in routers_of(graph, all_methods()):
        for kind in [router.design.kind] if router.first else ALL_DESIGNS:
            shape = design(kind)
            if shape.cut and router.first is None:
                continue  # an early router never gives way to a confidence
            width = router.reading.width if router.first else features
            with_rate = fit_worst("confidence", graph).flash_bytes - 36 + router.flash_bytes
            assert with_rate <= shape.flash_bytes(classes, width)
            assert router.sram_bytes <= shape.sram_bytes(classes, width)


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_flash_bytes_are_those_of_the_object_file(tmp_path: Path) -> None:
    graph = base(10, 33)
    for index, kind in enumerate(("confidence", "linear-stage1", "mlp8-features")):
        router = fit_worst(kind, graph)
        text, objects = tmp_path / f"{index}.c", tmp_path / f"{index}.o"
        text.write_text(f'#include <stddef.h>\n#include "hnas_router.h"\n{router.to_c("pair")}')
        command = ["arm-none-eabi-gcc", "-std=c99", "-mthumb", "-mcpu=cortex-m4", "-O2"]
        include = f"-I{FIRMWARE / 'router'}"
        subprocess.run([*command, include, "-c", text, "-o", objects], check=True)
        sections = subprocess.run(
            ["arm-none-eabi-size", objects], capture_output=True, text=True, check=True
        )
        measured = int(sections.stdout.splitlines()[1].split()[0])
        threshold = 4  # in the code that compares with it
        assert router.flash_bytes - 4 < measured + threshold <= router.flash_bytes


# --- against the router in real numbers --------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_statistics_are_those_that_routers_are_fitted_to(classes: int) -> None:
    graph = base(classes, 4, seed=classes)
    inputs = Inputs.of(graph, 200)
    outputs = real_outputs(graph, inputs)
    ranked = Ranked.of(inputs.scores, graph.ops[-1].output)
    (expected,) = signal_blocks(outputs, ["stats"], classes)
    np.testing.assert_allclose(ranked.stats, expected, rtol=1e-5, atol=2e-6)
    for name in CONFIDENCES:
        expected = confidence_score(outputs, name)
        np.testing.assert_allclose(confidence(ranked, name), expected, rtol=2e-5, atol=1e-30)


def test_near_certainty_is_still_ranked() -> None:
    """Each step apart is more certain; in float32, 1 - p1 would be 0 from about 17 nats on."""
    scores = np.array([[127, 127 - gap] for gap in range(1, 256)], np.int8)
    ranked = Ranked.of(scores, Affine(0.25, 0))
    for name in ("msp", "entropy", "margin"):
        assert (np.diff(confidence(ranked, name)) < 0).all()


def correlated(graph: Int8Graph, n: int) -> tuple[Inputs, np.ndarray]:
    """Inputs with structure, features of different spread, and a label to learn from."""
    random = np.random.default_rng(3)
    hidden = random.normal(size=(n, 4))
    classes, features = graph.classes, graph.ops[-1].spec.cin

    def view(width: int, noise: float) -> FloatArray:
        x = hidden @ random.normal(size=(4, width)) + noise * random.normal(size=(n, width))
        return x * np.geomspace(10.0, 40.0, width)

    scores = np.clip(view(classes, 0.5), -128, 127)
    rest = np.clip(view(features, 0.3), -128, 127)
    stage = np.clip(view(7, 0.3)[:, None, None] + random.normal(size=(n, 5, 5, 7)), -128, 127)
    right = random.random(n) < 1.0 / (1.0 + np.exp(-2.0 * hidden[:, 0]))
    return Inputs(*(x.astype(np.int8) for x in (scores, rest, stage))), right


@pytest.mark.parametrize("method", ["signed-gain", "gain-regression"])
@pytest.mark.parametrize("kind", [kind for kind, shape in ALL_DESIGNS.items() if shape.blocks])
def test_scores_are_close_to_the_fitted_routers(kind: str, method: str) -> None:
    """Rank correlation above 0.999, equal decisions on more than 99 % of inputs."""
    from hybrid_nas.routing.scoring import fit_pair_router

    graph = base(6, 40, seed=2)
    inputs, right = correlated(graph, 600)
    outputs = real_outputs(graph, inputs)
    outputs = replace(outputs, labels=np.where(right, outputs.pred, (outputs.pred + 1) % 6))
    cloud = np.random.default_rng(4).random(600) < 0.8
    router = fit_pair_router(design(kind), outputs, cloud, outputs, (0.9, 0.7), objective=method)
    device = DeviceRouter.of(router, graph, CUTS)
    found, expected = mirrored(device, inputs), router.send_score(outputs)
    device = device.with_thresholds(found, (0.9, 0.7))
    assert spearmanr(found, expected).statistic > 0.999
    for coverage in (0.9, 0.7):
        decided = sent(found, device.thresholds[coverage])
        assert np.mean(decided == sent(expected, router.thresholds[coverage])) > 0.99


def as_rounded(router: DeviceRouter, fitted: RouterNetwork) -> RouterNetwork:
    """The fitted network in float64 with the device's weights and biases."""
    assert router.first is not None
    layers = fitted.out if fitted.hidden is None else fitted.hidden
    bias, columns = router.first.bias.astype(np.float64), []
    for block in router.design.blocks:
        if block == "stats":
            columns.append(router.first.stats.astype(np.float64))
            continue
        rows, step = router.first.rows[block], router.reading.steps[block]
        per_integer = rows.factors[:, None] * rows.weights.astype(np.float64)
        bias += (per_integer * step.zero).sum(axis=1)
        columns.append(per_integer / step.unit)
    weights = np.concatenate(columns, axis=1).T
    exact = layers.weights / fitted.scale[:, None]
    steps = np.abs(exact).max(axis=0) / 127.0
    assert (np.abs(weights - exact) < 0.501 * steps).all()
    layer = Layer(weights, bias)
    hidden, out = (None, layer) if fitted.hidden is None else (layer, fitted.out)
    ones = np.ones(len(weights))
    return RouterNetwork(0.0 * ones, ones, hidden, out, fitted.heads)


@pytest.mark.parametrize(("kind", "method"), [m for m in all_methods() if m[0] != "confidence"])
def test_only_the_rounding_of_weights_is_lost(kind: str, method: str) -> None:
    """Each weight is within half a step; with those weights, float64 gives the same scores."""
    graph = base(10, 33, seed=1)
    fitted = random_router(design(kind), method, graph)
    assert fitted.network is not None
    network = fitted.network.keep(OBJECTIVES[method].heads)
    inputs = Inputs.of(graph, 300, 1)
    device = DeviceRouter.of(fitted, graph, CUTS)
    exact = replace(fitted, network=as_rounded(device, network))
    expected = exact.send_score(real_outputs(graph, inputs))
    np.testing.assert_allclose(mirrored(device, inputs), expected, rtol=1e-5, atol=2e-4)


def test_the_mean_input_keeps_its_score() -> None:
    """Biases make good what rounding the weights does to the mean."""
    graph = base(10, 33)
    fitted = random_router(design("linear-features"), "gain-regression", graph)
    assert fitted.network is not None
    inputs = Inputs.of(graph, 50)
    outputs = real_outputs(graph, inputs)
    signals = np.concatenate(signal_blocks(outputs, fitted.design.blocks, 10), axis=1)
    for row in range(10):
        network = replace(fitted.network, mean=signals[row])
        device = DeviceRouter.of(replace(fitted, network=network), graph, CUTS)
        exact = network.keep(["gain"]).out.bias[0]
        np.testing.assert_allclose(mirrored(device, inputs)[row], exact, atol=2e-5)


def test_rows_are_rounded_to_their_largest_weight() -> None:
    rounded, scale = round_rows(np.array([[1.0, 0.5, -0.25, -2.0], [0.0, 0.0, 0.0, 0.0]]))
    assert rounded.tolist() == [[64, 32, -16, -127], [0, 0, 0, 0]]
    assert scale.tolist() == [2.0 / 127.0, 0.0]


# --- thresholds and the controller -------------------------------------------------------------


def scores_of(kind: str, method: str, graph: Int8Graph) -> tuple[DeviceRouter, Float32Array]:
    router = DeviceRouter.of(random_router(design(kind), method, graph), graph, CUTS)
    return router, mirrored(router, Inputs.of(graph, 1000))


@needs_gcc
def test_thresholds_decide_in_c_as_in_python(tmp_path: Path) -> None:
    graph = base(10, 33)
    router, score = scores_of("linear-features", "signed-gain", graph)
    router = router.with_thresholds(score, (1.0, 0.9, 0.7, 0.123))
    library = Compiled([router], tmp_path)
    for coverage, threshold in router.thresholds.items():
        expected = sent(score.astype(np.float64), fit_threshold(score, coverage, break_even=True))
        assert np.array_equal(sent(score, threshold), expected)
        assert [library.sent(s, threshold) for s in score.tolist()] == expected.tolist()
        assert 1.0 - expected.mean() >= coverage
    assert NEVER_SEND > router.thresholds[1.0] > 3.4e38


def test_below_break_even_nothing_is_sent() -> None:
    graph = base(10, 33)
    score = np.linspace(-2.0, -1.0, 100, dtype=np.float32)
    for method, expected in (("signed-gain", 0.0), ("soft-gain", -1.3)):
        router, _ = scores_of("linear-stats", method, graph)
        found = router.with_thresholds(score, (0.7,)).thresholds[0.7]
        assert found == pytest.approx(expected, abs=0.02)


@needs_gcc
def test_the_controller_decides_in_c_as_in_python(tmp_path: Path) -> None:
    """On scores of three methods, and on values that round to halves, overflow, or are tiny."""
    graph = base(10, 33)
    routers = []
    for kind, method in (("linear-logits", "signed-gain"), ("confidence", "max-logit"),
                         ("mlp8-stage1", "two-stage")):  # fmt: skip
        router, score = scores_of(kind, method, graph)
        routers.append(router.with_thresholds(score, (0.7,)).with_controller(score, 0.7))
    for bits in (-3, 0, 4, 30):
        rate = RateController(3, 5, 2, -1000, 2000, bits)
        routers.append(replace(routers[0], controller=rate))
    library = Compiled(routers, tmp_path)
    random = np.random.default_rng(0)
    halves = np.arange(-400, 400) / 2.0
    odd = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 2.0**31, -(2.0**31), 0.5, 1.5, -2.5]
    wide = random.normal(size=2000) * 10.0 ** random.integers(-12, 12, 2000)
    own = [mirrored(router, Inputs.of(graph, 500)) for router in routers[:3]]
    for index, router in enumerate(routers):
        assert router.controller is not None
        bits = router.controller.fraction_bits
        values = [wide, odd, halves, np.ldexp(halves, -bits), *own]
        stream = np.concatenate([np.asarray(part, np.float32) for part in values])
        random.shuffle(stream)
        track = router.controller.run(stream.astype(np.float64))
        decisions, after = library.decisions(index, stream)
        assert decisions == track.sent.tolist()
        assert after[:-1] == track.threshold[1:].tolist()


# --- what is refused ---------------------------------------------------------------------------


def test_what_does_not_fit_is_refused() -> None:
    graph, other = base(10, 33), base(5, 20)
    late = random_router(design("linear-features"), "signed-gain", graph)
    early = random_router(design("linear-stage2"), "signed-gain", graph)
    huge = late.network
    assert huge is not None
    huge = replace(huge, scale=huge.scale * 1e-60)
    refusals: Sequence[tuple[FittedRouter, Int8Graph, tuple[int, ...], str]] = [
        (late, other, (), "reads 33 features of a base with 10 classes, this base has 20 and 5"),
        (early, graph, (0,), "decides at cut 2 and the base has 1"),
        (replace(late, network=huge), graph, (), "beyond float32"),
    ]
    for router, network, cuts, message in refusals:
        with pytest.raises(InputError, match=message):
            DeviceRouter.of(router, network, cuts)
    unpooled = Int8Graph(graph.input_shape, graph.input, (*graph.ops[:3], graph.ops[-1]))
    with pytest.raises(InputError, match="5 x 5 x 33 values"):
        DeviceRouter.of(late, unpooled)
    device, inputs = DeviceRouter.of(late, graph), Inputs.of(graph, 8)
    for arguments, message in (
        ((inputs.scores, None), "reads the base's int8 features"),
        ((None, inputs.features), "reads the base's int8 scores"),
        ((inputs.scores.astype(np.int64), inputs.features), "expected int8, 10"),
        ((inputs.scores, inputs.features[:, :-1]), "expected int8, 33"),
        ((inputs.scores, inputs.features[:-1]), "8 rows of scores and 7 of features"),
    ):
        with pytest.raises(InputError, match=message):
            device.send_score(*arguments)
    with pytest.raises(InputError, match="no C identifier"):
        device.to_c("pair 1")


def test_no_inputs_have_no_scores() -> None:
    graph = base(10, 33)
    router = DeviceRouter.of(random_router(design("confidence"), "msp", graph), graph)
    assert mirrored(router, Inputs.of(graph, 8)).shape == (8,)
    assert router.send_score(np.empty((0, 10), np.int8)).shape == (0,)


def test_every_objective_has_a_score_on_the_device() -> None:
    """A new objective or confidence must be taught to the device."""
    graph = base(3, 4)
    for method in (*OBJECTIVES, *CONFIDENCES):
        kind = "linear-stats" if method in OBJECTIVES else "confidence"
        router = DeviceRouter.of(random_router(design(kind), method, graph), graph)
        assert "hnas_router pair" in router.to_c("pair")
