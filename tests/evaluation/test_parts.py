"""Comparison, cuts, exits and shift, each against something computed otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.data.corruptions import corrupt
from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.evaluation.accuracy_table import each_input
from hybrid_nas.evaluation.comparison import choose_confidence, compare, fit_baselines
from hybrid_nas.evaluation.early_exit import early_exits
from hybrid_nas.evaluation.shift import send_rates, under_corruption
from hybrid_nas.evaluation.split_computing import query_bytes, split_points, uplink_time
from hybrid_nas.evaluation.stages import crossing, cuts, milliseconds, pooled_features
from hybrid_nas.evaluation.subject import Subject, open_subject
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.routing import fit_pair_router
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.drift import fit_controller
from hybrid_nas.routing.metrics import clustered_stderr, kept_accuracy
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.spaces.interchange import read_architecture
from hybrid_nas.training.job import RunPair
from tests.routing.conftest import Simulate, simulate

__all__ = ["simulate"]


@pytest.fixture(scope="module")
def subject(model_run: RunDirectory) -> Subject:
    return open_subject(RunPair(model_run, 1), (0.7,))


class TestComparison:
    def test_a_router_that_sees_more_is_ahead_of_every_confidence(self, simulate: Simulate) -> None:
        """Only the second feature tells where the simulated cloud fails."""
        fit, threshold, test = (simulate(3000, seed=seed) for seed in (1, 2, 3))
        router = fit_pair_router(
            design("linear-features"), fit.base, fit.cloud_correct, threshold.base, (0.7, 0.5)
        )
        baselines = fit_baselines(fit.base, fit.cloud_correct)
        best = choose_confidence(baselines, fit.base, fit.cloud_correct, (0.7, 0.5))
        found = compare(router, baselines, best, test.base, test.cloud_correct)
        for at in found.at.values():
            for name in ("msp", "entropy", "margin", "max-logit-p-norm", "random", "device-only"):
                assert at.against[name].gain.low > 0, name
            assert at.against["signed-oracle"].gain.high < 0
            assert at.share_of_the_way is not None and 0 < at.share_of_the_way < 1
            decided = router.send_score(test.base) > at.threshold
            right = np.where(decided, test.cloud_correct, test.base.correct)
            assert at.accuracy.value == pytest.approx(right.mean())
            assert at.stderr == pytest.approx(right.std(ddof=1) / np.sqrt(3000))
            width = at.accuracy.high - at.accuracy.low
            assert width == pytest.approx(2 * 1.96 * at.stderr, rel=0.15)

    def test_curves_end_at_the_models(self, simulate: Simulate) -> None:
        pair = simulate(400)
        router = fit_pair_router(
            design("linear-stats"), pair.base, pair.cloud_correct, pair.base, (0.7,)
        )
        baselines = fit_baselines(pair.base, pair.cloud_correct)
        found = compare(router, baselines, "msp", pair.base, pair.cloud_correct)
        assert found.curves["coverage"][0] == 0.0 and found.curves["coverage"][-1] == 1.0
        for name, values in found.curves.items():
            assert len(values) == 101
            if name != "coverage":
                assert values[0] == pytest.approx(pair.cloud_correct.mean())
                assert values[-1] == pytest.approx(pair.base.correct.mean())
        assert not {"device-only", "cloud-only"} & found.curves.keys()

    @given(st.integers(0, 1000))
    def test_without_a_cloud_values_are_the_ratio_linearised(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        right, sent = random.random(40) < 0.7, random.random(40) < 0.4
        groups = random.integers(0, 9, 40)
        values = each_input(sent.astype(float), right, None)
        expected = kept_accuracy(right, sent, groups)
        assert values.mean() == pytest.approx(expected.value)
        assert clustered_stderr(values, groups) == pytest.approx(expected.stderr)


class TestCuts:
    def test_only_one_tensor_passes(self, subject: Subject) -> None:
        """Run both halves by hand: what is behind the cut must not need anything else."""
        architecture = subject.base.architecture
        ops = architecture.ops
        found = cuts(architecture)
        assert len(found) == len(architecture.blocks) - 1
        for cut in found:
            reads = {
                index - distance
                for index, op in enumerate(ops)
                for distance in (op.source, op.residual)
                if distance and index > cut.op
            }
            assert {producer for producer in reads if producer <= cut.op} == {cut.op}
            height, width, channels = cut.shape
            following = ops[cut.op + 1]
            assert (following.h, following.w, following.cin) == (height, width, channels)
            assert cut.tensor_bytes == height * width * channels
        with_residual = next(index for index, op in enumerate(ops) if op.residual)
        assert len(crossing(ops, with_residual - 1)) == 2

    def test_features_before_the_global_pool_are_the_bases(self, subject: Subject) -> None:
        images = subject.data.split("test")
        architecture = subject.base.architecture
        places = cuts(architecture)
        before, behind = places[-2], places[-1]  # the last block but one, and the pool
        found = pooled_features(subject.base, images.images, [before, behind], 1)
        expected = subject.outputs("test").features
        assert expected is not None
        assert found[1] == pytest.approx(expected)
        assert found[0] == pytest.approx(expected, abs=1e-4)

    def test_milliseconds_add_up_to_the_estimate(self, subject: Subject) -> None:
        setup = subject.pair.setup
        assert setup.table is not None
        runtime = load_runtime(setup.settings.runtime)
        architecture = read_architecture(subject.pair.directory.pair(1) / "architecture.json")
        expected = estimate(architecture, setup.board, runtime, setup.table).latency_ms
        each = milliseconds(subject.base.architecture.ops, LatencyModel(setup.table))
        assert each.sum() == pytest.approx(expected)


def test_exits_are_between_head_and_base(subject: Subject) -> None:
    """Classes of the tiny data differ by colour, which a linear head sees behind any layer."""
    base = float(subject.outputs("test").correct.mean())
    found = early_exits(subject)
    assert found and [one.macs for one in found] == sorted(one.macs for one in found)
    for one in found:
        times = [at.mean_ms for at in one.at.values()]
        assert one.ms is not None and all(ms is not None and ms > one.ms for ms in times)
        for share, at in one.at.items():
            assert at.left == pytest.approx(share, abs=0.25)
            assert at.mean_macs <= one.macs + (1 - at.left) * subject.base.architecture.macs
            # a share leaves, so accuracy moves by no more than that share
            assert abs(at.accuracy - base) <= at.left + 1e-9
    assert max(one.accuracy for one in found) > 0.8


def test_split_points_count_bytes(subject: Subject) -> None:
    image, *rest = split_points(subject)
    size = subject.base.architecture.input_shape
    assert image.sent_bytes == int(np.prod(size)) and image.device_ms == 0.0
    assert image.uplink_ms == subject.pair.setup.settings.uplink_ms
    for point in rest:
        assert point.uplink_ms == pytest.approx(
            1900.0 * int(np.prod(point.shape)) / image.sent_bytes
        )
    times = [point.device_ms for point in rest]
    assert times == sorted(times, key=lambda ms: ms or 0.0)
    assert query_bytes(UplinkImage.parse("160x120x2"), size) == 38400
    assert query_bytes(UplinkImage.parse("jpeg:3KB"), size) == 3072


def test_a_modelled_uplink_times_the_bytes_themselves() -> None:
    """8000 bits a second are a byte in a millisecond; a tenth is lost and given up after 1 s."""
    model = {"transfer": {"bits_per_s": 8000}, "delay": {"ms": 50}, "outage": 0.1}
    settings = SearchSettings(uplink={**model, "timeout_ms": 1000}, uplink_bytes=900, cloud_ms=70.0)
    elapsed = uplink_time(settings, 900)
    assert elapsed(250) == pytest.approx(0.9 * (250 + 50) + 0.1 * 1000)
    assert elapsed(2000) == 1000.0  # never there in time
    fixed = uplink_time(SearchSettings(uplink_ms=1800.0), 900)
    assert fixed(450) == pytest.approx(900.0)


def test_shift_is_the_pair_on_corrupted_images(subject: Subject) -> None:
    clean, *changed = under_corruption(subject, (4,), seed=3)
    assert clean.fixed[0.7].accuracy is not None
    images = subject.data.split("test")
    order = np.random.default_rng(3).permutation(len(images))
    row = next(one for one in changed if one.name == "contrast")
    weaker = ImageSet(
        corrupt(images.images, "contrast", 4), images.labels, images.groups
    )  # draws nothing, so order does not matter
    outputs = subject.outputs_of(weaker, "weaker images")
    cloud = subject.cloud_correct_of(weaker)
    decided = subject.router.send_score(outputs) > subject.router.thresholds[0.7]
    assert row.base == pytest.approx(outputs.correct.mean())
    assert row.cloud == pytest.approx(cloud.mean())
    assert row.fixed[0.7].coverage == pytest.approx(1 - decided.mean())
    assert row.fixed[0.7].accuracy == pytest.approx(
        np.where(decided, cloud, outputs.correct).mean()
    )
    # the controller by its own definition: in floats, step by step
    score = subject.router.send_score(subject.outputs("threshold"))
    controller = fit_controller(score, 0.3, threshold=subject.router.thresholds[0.7])
    threshold, sent = float(controller.threshold), 0
    for value in controller.fixed(subject.router.send_score(outputs)[order]).tolist():
        sent += value > threshold
        threshold += controller.step_up if value > threshold else -controller.step_down
    assert row.controlled[0.7].coverage == pytest.approx(1 - sent / len(order))


def test_send_rates_are_shares(subject: Subject) -> None:
    rates = send_rates(subject)
    assert rates.keys() == {"clean", "uniform-noise", "textures"}
    score = subject.router.send_score(subject.outputs("test"))
    assert rates["clean"][0.7] == pytest.approx((score > subject.router.thresholds[0.7]).mean())
    assert all(0 <= by[0.7] <= 1 for by in rates.values())
