"""What a score depends on, and that nothing else is run for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hybrid_nas.data.dataset import ImageSet, Split
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.ranking import send_weights
from hybrid_nas.routing.scoring import fit_pair_router
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.scorer import SEARCH_SPLITS, Scorer
from hybrid_nas.search.setup import SearchSetup
from tests.search.conftest import TinyInputs


def candidates_of(setup: SearchSetup, n: int = 3) -> list[Candidate]:
    rows = setup.problem.candidates.sample(n, np.random.default_rng(3))
    return [setup.problem.candidates.candidate(row) for row in rows]


def score(setup: SearchSetup, candidate: Candidate) -> dict[str, Any]:
    row = np.array([setup.problem.candidates.row(candidate)])
    figures = setup.scorer.score(candidate, setup.problem.evaluate(row)).to_dict()
    figures.pop("seconds")
    return figures


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Split, ...]]:
    """The splits of each run of a base."""
    seen: list[tuple[Split, ...]] = []
    run = Scorer.run_base

    def counted(self: Scorer, genes: Any, splits: Any) -> Any:
        seen.append(tuple(splits))
        return run(self, genes, splits)

    monkeypatch.setattr(Scorer, "run_base", counted)
    return seen


def test_at_a_coverage_the_threshold_split_is_not_run(
    tiny: TinyInputs, asked: list[tuple[Split, ...]]
) -> None:
    setup = SearchSetup(tiny.settings())
    score(setup, candidates_of(setup)[0])
    assert asked == [("fit", "score")]


def test_a_bound_on_the_loss_needs_all_splits_at_once(
    tiny: TinyInputs, asked: list[tuple[Split, ...]]
) -> None:
    setup = SearchSetup(tiny.settings(max_loss=5.0))
    score(setup, candidates_of(setup)[0])
    assert asked == [SEARCH_SPLITS]


def test_the_score_is_that_of_a_router_fitted_with_all_splits(tiny: TinyInputs) -> None:
    """Put together by hand: every split run, the router fitted with thresholds, ranks counted."""
    setup = SearchSetup(tiny.settings())
    scorer, settings = setup.scorer, setup.settings
    for candidate in candidates_of(setup):
        splits = scorer.run_base(candidate.genes, SEARCH_SPLITS)
        router = fit_pair_router(
            design(candidate.router),
            splits["fit"],
            scorer.cloud_correct("fit"),
            splits["threshold"],
            settings.coverages,
            cloud=scorer.cloud_answers("fit"),
            seed=settings.seed,
        )
        send, base = router.send_score(splits["score"]), splits["score"].correct
        cloud = scorer.cloud_correct("score")
        assert cloud is not None
        figures = score(setup, candidate)
        assert figures["method"] == router.method
        for coverage, found in figures["at"].items():
            kept = max(float(coverage), float((send <= 0).mean()) if router.break_even else 0.0)
            weights = send_weights(send, kept)
            expected = np.mean(np.where(base, 1 - weights, 0) + weights * cloud)
            assert found["accuracy"] == pytest.approx(expected, abs=1e-12)


def test_other_threshold_images_change_no_score(
    tiny: TinyInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SearchSetup(tiny.settings())
    chosen = candidates_of(first)
    expected = [score(first, candidate) for candidate in chosen]
    second = SearchSetup(tiny.settings())
    split = second.data.split

    def spoilt(name: Split) -> ImageSet:
        found = split(name)
        return replace(found, images=255 - found.images) if name == "threshold" else found

    monkeypatch.setattr(second.data, "split", spoilt)
    assert [score(second, candidate) for candidate in chosen] == expected
    thresholds = [setup.scorer.fit_router(chosen[0]).thresholds for setup in (first, second)]
    assert thresholds[0] != thresholds[1]  # there they do decide


def test_thresholds_do_not_depend_on_what_was_run_before(
    tiny: TinyInputs, asked: list[tuple[Split, ...]]
) -> None:
    scored, fresh = SearchSetup(tiny.settings()), SearchSetup(tiny.settings())
    candidate = candidates_of(scored)[0]
    score(scored, candidate)
    later, at_once = scored.scorer.fit_router(candidate), fresh.scorer.fit_router(candidate)
    assert later.to_dict() == at_once.to_dict()
    assert asked == [("fit", "score"), ("threshold",), SEARCH_SPLITS]
    assert later.thresholds.keys() == set(scored.settings.coverages)
    scored.scorer.fit_router(candidate)
    assert len(asked) == 3  # remembered
