"""A whole network with a router on an emulated board: predictions, agreement, the document."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.cli.output import json_text
from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.hardware.patch_regions import Grid, Patches
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op
from hybrid_nas.routing.designs import design
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.verify.build import NETWORK_STACK_BYTES
from hybrid_nas.verify.compare import Reference, compare
from hybrid_nas.verify.compiler import DoesNotFitError
from hybrid_nas.verify.job import VerifyJob, check_device
from hybrid_nas.verify.observe import emulated, run_traced
from hybrid_nas.verify.report import Verification
from hybrid_nas.verify.tables import op_rows, quantity_rows, readings
from tests.export.device_cases import random_router
from tests.verify.conftest import BOARD, needs_compiler, needs_qemu

SPECS = (
    OpSpec("conv", 17, 15, 3, 8, kernel=3, stride=2, padding=1, activation="relu6"),
    OpSpec("conv", 9, 8, 8, 32, activation="relu6"),
    OpSpec("dwconv", 9, 8, 32, 32, kernel=5, padding=2, activation="relu6"),
    OpSpec("conv", 9, 8, 32, 8),
    OpSpec("add", 9, 8, 8, 8, residual=4, bias=False),
    OpSpec("dwconv", 9, 8, 8, 8, kernel=3, stride=2, padding=1, activation="relu"),
    OpSpec("conv", 5, 4, 8, 24, activation="relu6"),
    OpSpec("avgpool", 5, 4, 24, 24, kernel=0, bias=False),
    OpSpec("dense", 1, 1, 24, 6),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 17, 15, 3)).astype(np.uint8)
LABELS = np.array([0, 1, 2])


def graph(seed: int = 0) -> Int8Graph:
    """Weights at random, scales such that outputs spread over their range."""
    from hybrid_nas.quantise.scheme import IMAGE, Affine

    random = np.random.default_rng(seed)
    ops = []
    for spec in SPECS:
        output = Affine(float(np.float32(0.05)), int(random.integers(-40, 40)))
        if not spec.weights:
            if spec.op == "avgpool":
                output = ops[-1].output
            ops.append(Int8Op(spec, output))
            continue
        k, c = spec.kernel, spec.cin
        shapes = {"conv": (spec.cout, k, k, c), "dwconv": (k, k, c), "dense": (spec.cout, c)}
        weight = random.integers(-127, 128, shapes[spec.op]).astype(np.int8)
        scales = random.uniform(0.001, 0.004, spec.cout).astype(np.float32)
        bias = random.integers(-2000, 2000, spec.cout).astype(np.int32)
        ops.append(Int8Op(spec, output, weight, scales, bias))
    image = Affine(float(np.float32(IMAGE.scale)), IMAGE.zero)
    return Int8Graph((17, 15, 3), image, tuple(ops))


def network() -> CNetwork:
    base = graph()
    fitted = random_router(design("mlp8-features"), "signed-gain", base)
    router = DeviceRouter.of(fitted, base)
    outputs = Reference.of(base, IMAGES).outputs
    features = outputs[base.features_index].reshape(len(IMAGES), -1)
    score = router.send_score(outputs[-1].reshape(len(IMAGES), -1), features)
    return CNetwork("small", base, tuple("abcdef"), router.with_thresholds(score, (0.6,)))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> VerifyJob:
    return VerifyJob(
        network(), BOARD, tmp_path_factory.mktemp("job"), sram_bytes=65536, flash_bytes=65536
    )


@pytest.fixture(scope="module")
def found(job: VerifyJob) -> Verification:
    return job.run(
        IMAGES, LABELS, outside=[("itself", Reference.of(job.network.graph, IMAGES).scores)]
    )


@needs_compiler
@needs_qemu
class TestOnTheBoard:
    def test_outputs_scores_and_decisions_are_exact(self, found: Verification) -> None:
        assert found.agreement.exact and found.agreement.images == 3
        assert found.agreement.exact_ops == (3,) * len(SPECS)
        assert found.agreement.exact_send_scores == found.agreement.same_decisions == 3
        assert found.agreement.sent == 1  # of three, at coverage 0.6
        assert found.outside[0].exact == 3
        found.require_exact()

    def test_memory_is_as_predicted(self, job: VerifyJob, found: Verification) -> None:
        assert found.memory.arena_bytes == job.network.plan().arena_bytes
        assert found.prediction.arena_bytes == found.memory.arena_high == found.memory.arena_bytes
        assert 0 <= found.prediction.sram_bytes - found.memory.total <= 256
        assert found.fits

    def test_flash_is_as_predicted(self, found: Verification) -> None:
        over = found.prediction.flash_bytes - found.flash.total
        assert 0 <= over <= 0.02 * found.flash.total

    def test_times_add_up_and_are_near_the_table(self, found: Verification) -> None:
        assert found.unit.name == "instructions"
        assert 0.9 * found.total < sum(found.op_times) < found.total  # the router is beside
        for one in found.ops:
            assert one.error is not None
            if "add" not in one.name and one.name != "0:conv":
                assert abs(one.error) < 0.1, one

    @pytest.mark.parametrize("memory", ["flash", "SRAM"])
    def test_a_pair_1_kb_too_large_fails_with_that_number(
        self, job: VerifyJob, found: Verification, memory: str
    ) -> None:
        if memory == "flash":
            small = replace(job, flash_bytes=found.flash.total - 1024)
        else:
            linked = found.memory.arena_bytes + found.memory.variables_bytes + NETWORK_STACK_BYTES
            small = replace(job, sram_bytes=linked - 1024)
        with pytest.raises(DoesNotFitError, match=r"1 KB .1,024 bytes. too large") as caught:
            small.run(IMAGES)
        assert caught.value.excess == {memory: 1024}

    def test_the_document_and_the_tables_say_the_same(self, found: Verification) -> None:
        document = found.document()
        assert document["schema"] == "hybrid-nas/verify/1" and json_text(document)
        assert [q["name"] for q in document["quantities"]] == [
            "arena",
            "SRAM",
            "flash",
            "inference",
        ]
        assert document["agreement"]["exact"] is True
        assert len(op_rows(found)) == len(document["ops"]) == len(SPECS)
        assert quantity_rows(found)[0][3] == "0"
        text = "\n".join(readings(found))
        assert "decisions equal on 3; 1 sent" in text and "fits" in text

    def test_a_device_that_computes_something_else_is_caught(
        self, job: VerifyJob, found: Verification
    ) -> None:
        """The device is right, the reference is not: the same comparison."""
        ops = list(job.network.graph.ops)
        bias = ops[3].bias
        assert bias is not None
        ops[3] = replace(ops[3], bias=bias + 4000 * (np.arange(8) == 5).astype(np.int32))
        wrong = Reference.of(replace(job.network.graph, ops=tuple(ops)), IMAGES)
        right = Reference.of(job.network.graph, IMAGES)
        _, traced = job.build()
        with emulated(BOARD, traced) as (device, unit):
            traces, outputs = run_traced(
                device, IMAGES, wrong.sizes, wrong.first_difference, lambda number: None
            )
        seen = replace(_seen(found, right), traces=traces, outputs=outputs, unit=unit)
        agreement = compare(wrong, seen)
        assert not agreement.exact and agreement.exact_ops[:3] == (3, 3, 3)
        off = np.abs(wrong.outputs[3].astype(int) - right.outputs[3])
        for one in agreement.differences:
            assert one.op == 3 and one.where is not None and one.where[2] == 5
            assert one.lsb == off[one.image].max()
            assert one.elements == np.count_nonzero(off[one.image])
        with pytest.raises(HybridNasError, match="first operator that differs: 3:conv"):
            replace(found, agreement=agreement).require_exact()


def _seen(found: Verification, right: Reference):  # type: ignore[no-untyped-def]
    from hybrid_nas.verify.device import Inference
    from hybrid_nas.verify.observe import Seen

    inferences = tuple(
        Inference(1, int(row.argmax()), False, np.float32(0), row) for row in right.scores
    )
    return Seen(inferences, (), found.memory, {}, found.unit)


def test_a_real_board_needs_a_port_and_an_emulated_one_none() -> None:
    with pytest.raises(InputError, match="stm32f746 is a real one: give its --port"):
        check_device("stm32f746", None)
    with pytest.raises(InputError, match="emulated-cortex-m7 is emulated"):
        check_device("emulated-cortex-m7", "/dev/ttyACM0")


@needs_compiler
@needs_qemu
def test_a_stage_in_patches_is_one_step(tmp_path: Path, found: Verification) -> None:
    patches = Patches(5, Grid(2, 2))
    patched = replace(network(), patches=patches)
    job = VerifyJob(patched, BOARD, tmp_path, sram_bytes=65536, flash_bytes=65536)
    seen = job.run(IMAGES, LABELS)
    assert seen.agreement.exact and len(seen.agreement.exact_ops) == len(SPECS) - 4
    seen.require_exact()
    assert seen.prediction.arena_bytes == seen.memory.arena_high < found.memory.arena_high
    assert 0 <= seen.prediction.sram_bytes - seen.memory.total <= 256
    assert [one.name for one in seen.ops] == [one.name for one in found.ops][4:]
    # halos are computed twice, and all of the stage is one time
    assert seen.ops[0].observed is not None and seen.ops[1].observed is not None
    assert seen.ops[0].observed > sum(found.op_times[:5])
    assert seen.ops[1].observed == pytest.approx(found.op_times[5], rel=0.01)
    assert [str(row[0]).split(":")[0] for row in op_rows(seen)] == ["4", "5", "6", "7", "8"]
    assert "first 5 operators run in 2x2 patches" in " ".join(readings(seen))
    assert len(seen.document()["ops"]) == len(SPECS) - 4
