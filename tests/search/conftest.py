"""What the tests of the search share."""

from __future__ import annotations

import pytest

from tests.search.tiny import TINY_SPACE, TinyInputs, write_tiny

__all__ = ["TINY_SPACE", "TinyInputs"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyInputs:
    """Inputs of a tiny search."""
    return write_tiny(tmp_path_factory.mktemp("tiny"))
