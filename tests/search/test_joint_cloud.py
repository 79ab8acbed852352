"""Base and cloud chosen together: scores and costs beside a search whose cloud is that very one."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

from hybrid_nas.cli import main
from hybrid_nas.cli.multivalue import OPTIONAL_VALUE_FLAGS
from hybrid_nas.data.cloud import CloudOutputs
from hybrid_nas.errors import InfeasibleError, InputError
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.estimate import Estimate, estimate
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.report.terminal import render_front
from hybrid_nas.report.write import write_report
from hybrid_nas.routing.designs import design
from hybrid_nas.search import clouds as clouds_module
from hybrid_nas.search.candidate import Candidate, CandidateSpace
from hybrid_nas.search.clouds import SubnetClouds
from hybrid_nas.search.complete import complete
from hybrid_nas.search.progress import Box
from hybrid_nas.search.regime import threshold_within_loss
from hybrid_nas.search.run import run_search, settings_to_resume
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.settings import OWN_SUPERNET, SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.supernet.checkpoint import SupernetInfo, load_supernet, save_supernet
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.network_file import save_network
from hybrid_nas.supernet.standalone import StandaloneNet
from tests.hardware.brute_force import peak_sram_bytes
from tests.search.conftest import TinyInputs
from tests.search.test_sampler import run as propose

DESIGNS = ("confidence", "linear-logits")


def joint(tiny: TinyInputs, **changes: object) -> SearchSettings:
    """A short joint search."""
    given: dict[str, object] = {"cloud": None, "search_cloud": OWN_SUPERNET, "routers": DESIGNS}
    return tiny.settings(**{**given, "trials": 4, **changes})


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def counted_macs(network: Architecture) -> int:
    """Multiply-accumulates of torch's own layers, by hooks."""
    total = 0

    def count(layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            per_output = layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            per_output = layer.in_features
        else:
            return
        total += output[0].numel() * per_output

    net = StandaloneNet(network).eval()
    for module in net.modules():
        module.register_forward_hook(count)
    height, width, channels = network.input_shape
    with torch.inference_mode():
        net(torch.zeros(1, channels, height, width))
    return total


@pytest.fixture(scope="module")
def finished(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = RunDirectory(tmp_path_factory.mktemp("joint") / "a")
    run_search(complete(joint(tiny)), directory)
    return directory


class TestOneCandidate:
    def test_it_scores_as_with_that_cloud_fixed(
        self, tiny: TinyInputs, finished: RunDirectory, tmp_path: Path
    ) -> None:
        """The same subnet in a file of its own, given as --cloud, run by torch."""
        setup = SearchSetup(joint(tiny))
        assert setup.cloud_costs is not None
        space = setup.cloud_costs.space
        for trial in read(finished.trials)["trials"][2:]:
            chosen = space.from_dict(trial["cloud"]["genes"])
            path = tmp_path / "cloud.pt"
            save_network(path, setup.runner.network(chosen), setup.opened.info, chosen)
            fixed = SearchSetup(tiny.settings(cloud=str(path), routers=DESIGNS))
            candidate = Candidate(setup.space.from_dict(trial["genes"]), trial["router"])
            costs = fixed.problem.evaluate(np.array([fixed.problem.candidates.row(candidate)]))
            figures = fixed.scorer.score(candidate, costs)
            assert trial["method"] == figures.method
            for coverage, at in figures.at.items():
                assert trial["accuracy"][f"{coverage:g}"] == pytest.approx(at.accuracy)
            assert trial["base_accuracy"] == figures.base_accuracy
            assert trial["sram_bytes"] == figures.sram_bytes
            assert trial["flash_bytes"] == figures.flash_bytes
            alone = fixed.scorer.cloud_correct("score")
            assert alone is not None and trial["cloud"]["accuracy"] == alone.mean()

    def test_the_clouds_make_a_difference(self, tiny: TinyInputs) -> None:
        """The test above would prove nothing if every subnet said the same."""
        setup = SearchSetup(joint(tiny))
        small, large = (tuple(row) for row in setup.space.extremes().tolist())
        one, two = (setup.clouds.outputs("score", genes) for genes in (small, large))
        assert one is not None and two is not None and (one.pred != two.pred).any()

    def test_its_cost_is_base_plus_q_times_cloud(
        self, tiny: TinyInputs, finished: RunDirectory
    ) -> None:
        """Kag et al.'s cost of a joint search, MACs counted on torch's layers."""
        space = SearchSetup(joint(tiny)).space
        document = read(finished.pareto)
        assert document["objective"]["names"] == ["accuracy@0.7", "mean-macs@0.7"]
        for pair in document["pairs"]:
            base, cloud = (
                counted_macs(space.architecture(space.from_dict(pair[which]["genes"])))
                for which in ("base", "cloud")
            )
            assert (pair["base"]["macs"], pair["cloud"]["macs"]) == (base, cloud)
            for at in (*pair["hybrid"].values(), *pair["test"].values()):
                assert at["mean_macs"] == pytest.approx(base + (1 - at["coverage"]) * cloud)
                expected = pair["cost"]["edge_latency_ms"] + (1 - at["coverage"]) * 2000
                assert at["mean_latency_ms"] == pytest.approx(expected)


class TestDocuments:
    def test_each_pair_says_its_cloud(self, tiny: TinyInputs, finished: RunDirectory) -> None:
        document, setup = read(finished.pareto), SearchSetup(joint(tiny))
        assert {"accuracy", "latency_ms", "uplink_ms"} <= document["cloud"].keys()
        labels = setup.data.split("test").labels
        largest = setup.clouds.outputs("test", setup.clouds.largest)
        assert largest is not None
        assert document["cloud"]["accuracy"] == (largest.pred == labels).mean()
        for pair in document["pairs"]:
            chosen = pair["cloud"]
            genes = setup.space.from_dict(chosen["genes"])
            model = setup.clouds.model(genes)
            assert model is not None
            right = model.predict(setup.data.split("test")).pred == labels
            assert chosen["test_accuracy"] == right.mean()
            assert chosen["resolution"] == chosen["genes"]["resolution"]
            assert chosen["latency_ms"] == 100.0
            folder = finished.pair(pair["id"])
            assert read(folder / "cloud_genes.json")["genes"] == chosen["genes"]
            assert (folder / "cloud_architecture.json").is_file()

    def test_tables_and_page_show_it(self, finished: RunDirectory) -> None:
        document = read(finished.pareto)
        page = write_report(finished.path).read_text()
        console = Console(width=200, record=True, file=io.StringIO())
        render_front(console, document, finished.path)
        shown = console.export_text()
        for pair in document["pairs"]:
            alone, macs = pair["cloud"]["test_accuracy"], pair["cloud"]["macs"]
            (line,) = (text for text in shown.splitlines() if text.startswith(f"   {pair['id']} "))
            assert {f"{macs / 1e6:.2f}", f"{100 * alone:.1f}"} <= set(line.split())
            assert f'data-v="{macs}"' in page and f'data-v="{alone}"' in page
        largest = f"the largest {100 * document['cloud']['accuracy']:.1f} %"
        assert "its cloud alone" in shown and largest in shown
        assert "Its cloud alone" in page

    def test_pairs_that_differ_in_the_cloud_alone_are_different(self, tiny: TinyInputs) -> None:
        setup = SearchSetup(joint(tiny))
        small, large = (tuple(row) for row in setup.space.extremes().tolist())
        candidates = setup.problem.candidates
        rows = [candidates.row(Candidate(small, "confidence", cloud)) for cloud in (small, large)]
        assert rows[0] != rows[1]
        back = candidates.candidate(np.array(rows[1]))
        assert back == Candidate(small, "confidence", large)

    def test_hashes_name_the_clouds(self, tiny: TinyInputs, finished: RunDirectory) -> None:
        record = yaml.safe_load(finished.settings.read_text())
        setup = SearchSetup(joint(tiny))
        assert record["hashes"]["cloud"] == setup.clouds.fingerprint
        assert setup.clouds.fingerprint != SearchSetup(joint(tiny, seed=1)).clouds.fingerprint
        assert record["settings"]["search_cloud"] == OWN_SUPERNET
        assert "architectures" in record["understood"]["cloud"]

    def test_resume_goes_on_as_if_never_stopped(
        self, tiny: TinyInputs, finished: RunDirectory, tmp_path: Path
    ) -> None:
        directory = RunDirectory(tmp_path / "a")
        run_search(complete(joint(tiny, trials=2)), directory)
        run_search(settings_to_resume(directory, {"trials": 4}), directory, resume=True)
        keys = ("genes", "router", "cloud", "values")
        rows = [[t[k] for k in keys] for t in read(directory.trials)["trials"]]
        assert rows == [[t[k] for k in keys] for t in read(finished.trials)["trials"]]


class TestCache:
    def test_one_forward_pass_per_subnet(
        self, tiny: TinyInputs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup = SearchSetup(joint(tiny))
        runs: list[Any] = []
        run = setup.runner.run
        monkeypatch.setattr(setup.runner, "run", lambda g, s: (runs.append((g, s)), run(g, s))[1])
        small, large = (tuple(row) for row in setup.space.extremes().tolist())
        for router in DESIGNS:
            for base in (small, large):
                candidate = Candidate(base, router, small)
                row = np.array([setup.problem.candidates.row(candidate)])
                setup.scorer.score(candidate, setup.problem.evaluate(row))
        assert sorted(runs) == sorted(
            [
                (small, ("fit", "score")),  # as a base
                (large, ("fit", "score")),
                (small, ("fit", "score")),  # as everybody's cloud
            ]
        )

    def test_what_was_asked_longest_ago_is_forgotten_first(
        self, tiny: TinyInputs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup = SearchSetup(joint(tiny))
        assert isinstance(setup.clouds, SubnetClouds)
        genes = [tuple(row) for row in setup.space.enumerate()[:3].tolist()]
        one = sum(
            outputs.pred.nbytes + outputs.probs.nbytes
            for split in ("fit", "score")
            if isinstance(outputs := setup.clouds.outputs(split, genes[0]), CloudOutputs)
            and outputs.probs is not None
        )
        monkeypatch.setattr(clouds_module, "_CACHED_BYTES", 2 * one)
        setup.clouds.outputs("fit", genes[1])
        setup.clouds.outputs("fit", genes[0])
        setup.clouds.outputs("fit", genes[2])
        assert set(setup.clouds._outputs) == {genes[0], genes[2]}


class TestRows:
    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 10_000))
    def test_rows_are_equal_exactly_when_the_three_parts_are(self, seed: int) -> None:
        space = load_space("mcunet", classes=10)
        candidates = CandidateSpace(space, DESIGNS, space)
        rng = np.random.default_rng(seed)
        row = candidates.sample(1, rng)[0]
        rows = candidates.mutate(row, 20, rng.integers(0, 4, 20), rng)
        parts = [self._parts(space, one) for one in rows]
        canonical = [tuple(one) for one in candidates.canonical(rows).tolist()]
        for one, part in zip(canonical, parts, strict=True):
            assert (one == canonical[0]) == (part == parts[0])
            assert candidates.row(candidates.candidate(np.array(one))) == one

    @staticmethod
    def _parts(space: SearchSpace, row: np.ndarray) -> tuple[Any, ...]:
        """Base, cloud and router by hand, from the columns."""
        n = len(space.genes)
        base, cloud = space.architecture(row[:n]), space.architecture(row[n : 2 * n])
        return base, cloud, int(row[-1])

    def test_the_sampler_starts_at_both_ends_and_never_repeats(self, tiny: TinyInputs) -> None:
        setup = SearchSetup(joint(tiny, flash_bytes=90 * 1024))
        rows = propose(setup.problem, "tpe", 24)
        assert len(set(rows)) == 24
        n = len(setup.space.genes)
        small, large = (tuple(row) for row in setup.space.extremes().tolist())
        assert rows[0][:-1] == (*small, *small)
        assert rows[1][n:-1] == large  # its base does not fit and is mended, its cloud is kept
        assert rows[1][:n] != large

    def test_other_searches_keep_their_columns(self, tiny: TinyInputs) -> None:
        problem = SearchSetup(tiny.settings()).problem
        assert not any(name.startswith("cloud.") for name in problem.candidates.sizes)
        both = SearchSetup(joint(tiny)).problem.candidates.sizes
        assert list(both)[-1] == "router" and len(both) == 2 * len(problem.candidates.sizes) - 1


def other_supernet(tiny: TinyInputs, folder: Path, classes: int = 3) -> Path:
    """Another space, wider, with weights of its own."""
    text = tiny.space.read_text().replace("name: tiny", "name: strong")
    space = folder / "strong.yaml"
    space.write_text(text.replace("width: [0.2, 0.5]", "width: [0.5, 1.0]"))
    torch.manual_seed(1)
    net = Supernet(load_space(str(space), input_shape=(16, 16, 3), classes=classes))
    _, info = load_supernet(tiny.supernet)
    changes = {"space": str(space), "classes": tuple(map(str, range(classes)))}
    if classes == len(info.classes):
        changes.pop("classes")
    mine: SupernetInfo = replace(info, **changes)  # type: ignore[arg-type]
    save_supernet(folder / "strong.pt", net, mine)
    return folder / "strong.pt"


class TestAnotherSupernet:
    def test_its_subnets_are_the_clouds(self, tiny: TinyInputs, tmp_path: Path) -> None:
        strong = other_supernet(tiny, tmp_path)
        directory = RunDirectory(tmp_path / "a")
        run_search(complete(joint(tiny, search_cloud=str(strong), trials=2)), directory)
        for pair in read(directory.pareto)["pairs"]:
            assert pair["base"]["space"] == "tiny" and pair["cloud"]["space"] == "strong"
            assert pair["cloud"]["genes"]["width"] in (0.5, 1.0)

        other_supernet(tiny, tmp_path, classes=3)  # the same again: nothing has changed
        goes_on = settings_to_resume(directory, {"trials": 2})
        run_search(goes_on, directory, resume=True)
        net, info = load_supernet(strong)
        with torch.no_grad():
            next(net.parameters()).add_(1.0)
        save_supernet(strong, net, info)
        with pytest.raises(InputError, match="the cloud of this run has changed"):
            run_search(goes_on, directory, resume=True)

    def test_other_classes(self, tiny: TinyInputs, tmp_path: Path) -> None:
        strong = other_supernet(tiny, tmp_path, classes=5)
        with pytest.raises(InputError, match=r"--search-cloud .*strong\.pt: .*5 classes"):
            run_search(joint(tiny, search_cloud=str(strong)), RunDirectory(tmp_path / "a"))

    def test_no_supernet(self, tiny: TinyInputs, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"--search-cloud .*cloud\.npz"):
            run_search(joint(tiny, search_cloud=str(tiny.cloud)), RunDirectory(tmp_path / "a"))


def alone(network: Architecture) -> Estimate:
    runtime, board = load_runtime("tinyengine"), load_board("stm32f746")
    return estimate(network, board, runtime, find_table(board.id, runtime.id))


class TestOnDevice:
    FLASH = 105 * 1024

    def test_both_networks_count_against_the_limits(self, tiny: TinyInputs) -> None:
        """Flash of both, the larger SRAM, the second one's picture: by a second planner."""
        chosen = complete(joint(tiny, cloud_on_device=True, flash_bytes=self.FLASH))
        problem = SearchSetup(chosen).problem
        space = problem.candidates.space
        rows = problem.candidates.sample(40, np.random.default_rng(0))
        costs, fits = problem.evaluate(rows), problem.fits(rows)
        runtime = load_runtime("tinyengine")
        for k, row in enumerate(rows):
            candidate = problem.candidates.candidate(row)
            assert candidate.cloud is not None
            base = space.architecture(candidate.genes)
            cloud = space.architecture(candidate.cloud)
            router, features = design(candidate.router), base.blocks[-1].cin
            first = peak_sram_bytes(
                base.ops,
                runtime,
                extra_bytes=math.prod(cloud.input_shape),
                router_bytes=router.sram_bytes(3, features),
            )
            second = peak_sram_bytes(cloud.ops, runtime)
            assert costs.sram_bytes[k] == max(first, second)
            flash = alone(base).flash_bytes + router.flash_bytes(3, features)
            flash += alone(cloud).flash_bytes - runtime.flash.fixed_bytes
            assert costs.flash_bytes[k] == flash
            assert fits[k] == (flash <= self.FLASH and costs.sram_bytes[k] <= 64 * 1024)
        assert 0 < fits.sum() < len(fits)

    def test_a_query_takes_the_clouds_own_time(self, tiny: TinyInputs, tmp_path: Path) -> None:
        directory = RunDirectory(tmp_path / "a")
        chosen = joint(
            tiny,
            cloud_on_device=True,
            flash_bytes=self.FLASH,
            objectives=("accuracy", "mean-latency"),
            trials=3,
        )
        run_search(complete(chosen), directory)
        document, space = read(directory.pareto), SearchSetup(chosen).space
        largest = alone(space.architecture(space.extremes()[1]))
        assert document["cloud"]["uplink_ms"] == 0
        assert document["cloud"]["latency_ms"] == pytest.approx(largest.latency_ms)
        for pair in document["pairs"]:
            cloud = alone(space.architecture(space.from_dict(pair["cloud"]["genes"])))
            assert pair["cloud"]["latency_ms"] == pytest.approx(cloud.latency_ms)
            for at in pair["test"].values():
                expected = pair["cost"]["edge_latency_ms"]
                expected += (1 - at["coverage"]) * cloud.latency_ms
                assert at["mean_latency_ms"] == pytest.approx(expected)
            assert pair["cost"]["flash_bytes"] <= self.FLASH

    def test_limits_that_nothing_keeps(self, tiny: TinyInputs, tmp_path: Path) -> None:
        tight = joint(tiny, cloud_on_device=True, flash_bytes=40 * 1024)
        with pytest.raises(InputError, match="the smallest cloud alone takes"):
            complete(tight)
        space = SearchSetup(tight).space
        one = alone(space.architecture(space.extremes()[0])).flash_bytes
        barely = complete(joint(tiny, cloud_on_device=True, flash_bytes=one + 1024))
        with pytest.raises(InfeasibleError, match="flash limit binds"):
            run_search(barely, RunDirectory(tmp_path / "a"))


class TestRegimes:
    @given(
        st.lists(
            st.tuples(st.integers(0, 6), st.booleans(), st.booleans(), st.booleans()),
            min_size=1,
            max_size=20,
        ),
        st.integers(0, 5),
    )
    def test_a_loss_against_another_cloud_by_trying_all(
        self, inputs: list[tuple[int, bool, bool, bool]], points: int
    ) -> None:
        """The highest threshold that keeps the bound; the least loss where none does."""
        score, base, cloud, best = (np.array(column) for column in zip(*inputs, strict=True))
        score = score.astype(float)
        threshold, coverage = threshold_within_loss(score, base, cloud, points / 10, best)
        cuts = [-np.inf, *np.unique(score)]
        losses = {c: best.mean() - np.where(score > c, cloud, base).mean() for c in cuts}
        bound = max(points / 10, min(losses.values())) + 1e-9
        wanted = max(c for c, loss in losses.items() if loss <= bound)
        assert ((score > threshold) == (score > wanted)).all()
        assert coverage == pytest.approx(1 - (score > threshold).mean())

    def test_losses_are_against_the_largest_cloud(self, tiny: TinyInputs, tmp_path: Path) -> None:
        chosen = complete(joint(tiny, max_loss=3.0, trials=3))
        assert chosen.objectives == ("mean-macs-within-loss", "loss")
        directory = RunDirectory(tmp_path / "a")
        run_search(chosen, directory)
        document = read(directory.pareto)
        for pair in document["pairs"]:
            point = pair["point"]["test"]
            expected = document["cloud"]["accuracy"] - point["accuracy"]
            assert point["loss"] == pytest.approx(expected)
            rate = 1 - point["coverage"]
            macs = pair["base"]["macs"] + rate * pair["cloud"]["macs"]
            assert point["mean_macs"] == pytest.approx(macs)

    def test_a_budget_leaves_the_clouds_macs_as_the_cost(
        self, tiny: TinyInputs, tmp_path: Path
    ) -> None:
        chosen = complete(joint(tiny, mean_latency_ms=500.0, trials=3))
        assert chosen.objectives == ("accuracy-in-budget", "mean-macs-in-budget")
        directory = RunDirectory(tmp_path / "a")
        run_search(chosen, directory)
        for pair in read(directory.pareto)["pairs"]:
            point = pair["point"]
            assert point["score"]["mean_latency_ms"] <= 500 + 1e-6
            assert 1 - point["coverage"] == pytest.approx(
                (500 - pair["cost"]["edge_latency_ms"]) / 2000
            )

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"max_loss": 1.0},
            {"mean_latency_ms": 400.0},
            {"cloud_on_device": True, "power_mw": 9.0, "objectives": ("accuracy", "mean-energy")},
        ],
    )
    def test_the_box_has_an_inside(self, tiny: TinyInputs, changes: dict[str, Any]) -> None:
        chosen = complete(joint(tiny, **changes))
        box = Box.of(SearchSetup(chosen).problem, chosen)
        assert np.isfinite(box.ideal).all() and (box.worst > box.ideal).all()

    def test_given_objectives_are_kept(self, tiny: TinyInputs) -> None:
        given = ("accuracy", "mean-latency")
        assert joint(tiny, objectives=given).objectives == given
        assert tiny.settings().objectives == given


def test_the_flag_without_a_value_means_the_runs_own() -> None:
    assert OPTIONAL_VALUE_FLAGS["--search-cloud"] == OWN_SUPERNET


def test_the_command(capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path) -> None:
    flags = ["--search-cloud", "--data", str(tiny.data), "--supernet", str(tiny.supernet)]
    flags += ["--threads", "1", "--trials", "2", "--run", str(tmp_path / "a")]
    assert main(["search", *flags, "--router", "confidence", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(pair["cloud"]["space"] == "tiny" for pair in document["pairs"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--search-cloud", "--cloud", "c.npz"], ["--search-cloud", "leave out --cloud c.npz"]),
        (["--search-cloud", "--no-cloud"], ["--search-cloud and --no-cloud exclude"]),
        (["--cloud-space", "mcunet"], ["--cloud-space", "--search-cloud"]),
        (["--search-cloud", "--cloud-space", "mcunet"], ["--cloud-space", "another supernet"]),
        (["--search-cloud", "nowhere.pt"], ["--search-cloud nowhere.pt", "no supernet"]),
        (["--search-cloud", "--cloud-on-device", "--board", "rp2040"], ["--table FILE"]),
    ],
)
def test_refusals_name_the_flag(
    capsys: pytest.CaptureFixture[str],
    tiny: TinyInputs,
    tmp_path: Path,
    flags: list[str],
    words: list[str],
) -> None:
    common = ["--data", str(tiny.data), "--supernet", str(tiny.supernet)]
    assert main(["search", *common, *flags, "--run", str(tmp_path / "a")]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err
