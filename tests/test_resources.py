"""The data that comes with the program is found from this checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_nas import resources
from hybrid_nas.errors import HybridNasError

ROOT = Path(__file__).resolve().parents[1]


def test_search_spaces_are_the_yaml_files_of_the_checkout_by_name() -> None:
    files = resources.search_space_files()
    assert list(files) == sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))
    assert all(
        path.samefile(ROOT / "search_spaces" / f"{name}.yaml") for name, path in files.items()
    )
    assert "mcunet" in files


def test_latency_tables_are_the_folder_of_the_checkout() -> None:
    assert resources.latency_table_dir().samefile(ROOT / "latency_tables")


def test_data_inside_the_package_is_preferred_to_data_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "pkg" / "search_spaces", tmp_path / "search_spaces"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "pkg")
    assert resources.search_space_dir() == tmp_path / "pkg" / "search_spaces"


def test_a_bundled_file_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "weights.pt").write_bytes(b"weights")
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    assert resources.bundled("weights.pt").read_bytes() == b"weights"
    with pytest.raises(HybridNasError, match=r"'other\.pt'.*weights\.pt"):
        resources.bundled("other.pt")


def test_an_incomplete_installation_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "pkg")
    with pytest.raises(HybridNasError, match="no search_spaces/ folder"):
        resources.search_space_files()
    with pytest.raises(HybridNasError, match="there are: none"):
        resources.bundled("weights.pt")
