"""Limits on SRAM with patches."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup

SETTINGS = {"board": "emulated-cortex-m7", "runtime": "hnas-c", "sram_bytes": 9 * 1024}


def test_patches_let_bases_in_that_do_not_fit_whole() -> None:
    whole, patched = (
        SearchSetup(SearchSettings(**SETTINGS, patches=word)).problem for word in ("off", "auto")
    )
    rows = whole.candidates.sample(60, np.random.default_rng(0))
    without, found = whole.evaluate(rows), patched.evaluate(rows)
    fits, runs_in_patches = patched.fits(rows), found.patch_grid >= 0
    assert not whole.fits(rows).any() and fits.any()
    assert runs_in_patches[fits].all()
    assert (found.sram_bytes <= without.sram_bytes).all()
    assert (found.macs > without.macs)[fits].all()
    assert (found.latency_ms > without.latency_ms)[fits].all()
    assert (found.flash_bytes > without.flash_bytes)[fits].all()


def test_what_does_not_run_patches_is_refused() -> None:
    with pytest.raises(InputError, match="runtime cmsis-nn runs no patches"):
        _ = SearchSetup(SearchSettings(runtime="cmsis-nn", patches="auto")).problem
    with pytest.raises(InputError, match="no --patches '4': give one of off, auto"):
        SearchSettings(patches="4")
