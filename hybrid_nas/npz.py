"""Reading ``.npz`` files of users: plain arrays only, and one clear line for everything else."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_nas.errors import InputError

# what zip, zlib and the array header's parser raise on damaged or foreign files
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_arrays(path: Path, keys: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an ``.npz`` file: all of them, or those of `keys` that are there.

    Raises:
        InputError: if the file is missing, truncated, no NPZ, or has pickled objects in it.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.lib.npyio.NpzFile):
            with archive:
                wanted = archive.files if keys is None else [k for k in keys if k in archive.files]
                return {key: archive[key] for key in wanted}
        reason = "it holds one array and no names"
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: give the path of an .npz file") from error
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason:
            reason = "it is damaged or has pickled objects in it"
    raise InputError(
        f"{path} cannot be read as .npz ({reason}): write it again with numpy.savez and plain "
        "numeric or string arrays"
    )
