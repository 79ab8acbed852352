"""Energies and powers: both letters that look like a mu stand for micro."""

from __future__ import annotations

import pytest

from hybrid_nas.energy import parse_mj, parse_mw


@pytest.mark.parametrize("micro", ["u", "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"])
def test_micro_is_a_thousandth_of_milli(micro: str) -> None:
    assert parse_mj(f"5{micro}J") == pytest.approx(5e-3)
    assert parse_mw(f" 5 {micro}W ") == pytest.approx(5e-3)
