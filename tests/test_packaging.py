"""The wheel has what the checkout has, and data is found from a wheel and an editable install.

The builds run on a copy, because setuptools writes into the tree that it builds from and a stale
`build/` could bring files into the wheel that the checkout no longer has.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

import hybrid_nas

ROOT = Path(__file__).resolve().parents[1]
ROOT_DATA = ("search_spaces", "latency_tables", "firmware")
PACKAGE_DATA_SUFFIXES = {".c", ".css", ".elf", ".html", ".j2", ".js", ".json", ".pt", ".yaml"}

NOT_SOURCES = ("__pycache__", "build")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("pip") is None,
    reason="builds a wheel without network: needs pip and setuptools in this environment",
)

# Runs where nothing but the standard library and the folder in argv is importable.
PROBE = """
import json, site, sys
site.addsitedir(sys.argv[1])
import hybrid_nas
from hybrid_nas import resources
print(json.dumps({
    "package": hybrid_nas.__file__,
    "spaces": sorted(path.name for path in resources.search_space_dir().glob("*.yaml")),
    "tables": str(resources.latency_table_dir()),
    "firmware": str(resources.firmware_dir()),
}))
"""


@dataclass(frozen=True)
class Found:
    """What the probe printed."""

    package: str
    spaces: list[str]
    tables: str
    firmware: str


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("hybrid_nas", *ROOT_DATA):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, checkout)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_has_every_module_and_every_data_file_of_the_checkout(wheel: Path) -> None:
    expected = {"hybrid_nas/py.typed"}
    for path in _files(ROOT / "hybrid_nas"):
        bundled = path.is_relative_to(ROOT / "hybrid_nas" / "bundled")
        if path.suffix == ".py" or path.suffix in PACKAGE_DATA_SUFFIXES or bundled:
            expected.add(path.relative_to(ROOT).as_posix())
    for folder in ROOT_DATA:
        expected |= {f"hybrid_nas/{path.relative_to(ROOT)}" for path in _files(ROOT / folder)}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_no_data_file_of_the_package_is_of_a_kind_that_wheels_leave_out() -> None:
    known = PACKAGE_DATA_SUFFIXES | {".py", ".typed"}
    outside = [p for p in _files(ROOT / "hybrid_nas") if "bundled" not in p.parts]
    unknown = [str(path.relative_to(ROOT)) for path in outside if path.suffix not in known]
    assert not unknown, (
        f"name these kinds in pyproject.toml, [tool.setuptools.package-data]: {unknown}"
    )


def test_every_folder_with_modules_is_a_package() -> None:
    """setuptools looks for packages by `__init__.py`; a folder without one would be left out."""
    folders = {path.parent for path in _files(ROOT / "hybrid_nas") if path.suffix == ".py"}
    without = [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()]
    assert not without, f"no __init__.py in {without}"


def test_the_wheel_names_version_licence_and_console_script(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {
            PurePosixPath(name).name: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert f"\nVersion: {hybrid_nas.__version__}\n" in info["METADATA"]
    assert "\nLicense-Expression: Apache-2.0\n" in info["METADATA"]
    assert info["LICENSE"] == (ROOT / "LICENSE").read_text()
    assert "hybrid-nas = hybrid_nas.cli:main" in info["entry_points.txt"]


def test_an_installed_wheel_finds_its_data(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    _pip("install", "--no-deps", "--no-index", "--no-compile", "--target", target, wheel)
    found = _probe(target, cwd=tmp_path)
    assert Path(found.package).is_relative_to(target)
    assert found.spaces == _space_names()
    assert _relative_files(Path(found.tables)) == _relative_files(ROOT / "latency_tables")
    assert _relative_files(Path(found.firmware)) == _relative_files(ROOT / "firmware")


def test_an_editable_install_finds_the_data_of_its_checkout(checkout: Path, tmp_path: Path) -> None:
    build = (
        "import sys, setuptools.build_meta as backend; "
        "print(backend.build_editable(sys.argv[1]), file=sys.stderr)"
    )
    subprocess.run(
        [sys.executable, "-c", build, tmp_path], cwd=checkout, check=True, capture_output=True
    )
    (editable,) = tmp_path.glob("*.whl")
    target = tmp_path / "site"
    _pip("install", "--no-deps", "--no-index", "--no-compile", "--target", target, editable)
    found = _probe(target, cwd=tmp_path)
    assert Path(found.package) == checkout / "hybrid_nas" / "__init__.py"
    assert found.spaces == _space_names()
    assert found.tables == str(checkout / "latency_tables")
    assert found.firmware == str(checkout / "firmware")


def test_constraints_pin_every_declared_dependency_to_one_published_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["test"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    assert all(len(pin) == 2 and "+" not in pin[1] for pin in pins)
    pinned = {name.lower() for name, _ in pins}
    assert {requirement.split(">=")[0].lower() for requirement in declared} <= pinned
    assert len(pinned) == len(pins)


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _probe(site: Path, cwd: Path) -> Found:
    command = [sys.executable, "-I", "-S", "-c", PROBE, str(site)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Found(**json.loads(done.stdout))


def _files(folder: Path) -> list[Path]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in paths if not set(NOT_SOURCES) & set(p.relative_to(folder).parts))


def _relative_files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in _files(folder)]


def _space_names() -> list[str]:
    return sorted(path.name for path in (ROOT / "search_spaces").glob("*.yaml"))
