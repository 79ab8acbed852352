"""Where the data that comes with the program lies: search spaces, latency tables, C code, weights.

In a wheel `search_spaces/`, `latency_tables/` and `firmware/` are inside the package (setup.py puts
them there); in a checkout, and in an editable install of one, they stand beside it. Nothing is
imported here but the standard library, so that the command line can ask early and cheaply.
"""

from __future__ import annotations

from pathlib import Path

from hybrid_nas.errors import HybridNasError

_PACKAGE = Path(__file__).resolve().parent


def search_space_dir() -> Path:
    """Folder of the search spaces that come with the program (`*.yaml`)."""
    return _root_data("search_spaces")


def search_space_files() -> dict[str, Path]:
    """Search spaces by name, which is the file name without `.yaml`, in alphabetical order.

    >>> "mcunet" in search_space_files()
    True
    """
    paths = {path.stem: path for path in search_space_dir().glob("*.yaml")}
    return dict(sorted(paths.items()))


def latency_table_dir() -> Path:
    """Folder of the latency tables that come with the program."""
    return _root_data("latency_tables")


def firmware_dir() -> Path:
    """Folder of the C sources: kernels, router, boards."""
    return _root_data("firmware")


def bundled(name: str) -> Path:
    """Path of a bundled file, such as a supernet's weights.

    Raises `HybridNasError` if there is no such file, with the names that there are.
    """
    folder = _PACKAGE / "bundled"
    path = folder / name
    if not path.is_file():
        found = sorted(file.name for file in folder.glob("*")) if folder.is_dir() else []
        raise HybridNasError(
            f"no bundled file {name!r} in this installation (there are: "
            f"{', '.join(found) or 'none'}); install hybrid-nas again"
        )
    return path


def _root_data(name: str) -> Path:
    """A data folder: inside the package (wheel) or beside it (checkout, editable install)."""
    for folder in (_PACKAGE / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise HybridNasError(
        f"this installation has no {name}/ folder inside or beside {_PACKAGE}; "
        "install hybrid-nas again"
    )
