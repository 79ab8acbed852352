"""The folder that a user builds: generated code, kernels, and what build systems want to know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_nas.export.c_code.emit import OpCode, op_codes
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.plan import ArenaPlan
from hybrid_nas.export.c_code.render import TEMPLATES, render, template_values
from hybrid_nas.files import atomic_write
from hybrid_nas.resources import firmware_dir

__all__ = ["CNetwork", "CProject", "write_c_project"]


@dataclass(frozen=True)
class CProject:
    """A folder that was written.

    Attributes:
        folder: with CMakeLists.txt, library.json, include/, src/, examples/.
        plan: of the arena.
        constant_bytes: constants in flash, code not counted.
    """

    folder: Path
    plan: ArenaPlan
    constant_bytes: int

    @property
    def include(self) -> Path:
        """Folder of the headers."""
        return self.folder / "include"

    @property
    def sources(self) -> tuple[Path, ...]:
        """All C files of the library."""
        return tuple(sorted((self.folder / "src").rglob("*.c")))


def write_c_project(network: CNetwork, folder: Path) -> CProject:
    """Write the folder; what is there already is written over, nothing is removed.

    Raises:
        OSError: the folder cannot be written.
    """
    plan = network.plan()
    for name, text in _files(network, plan).items():
        atomic_write(folder / name, text)
    return CProject(folder, plan, network.constant_bytes)


def plan_text(network: CNetwork) -> str:
    """The arena's plan as JSON: tensors, lifetimes, offsets."""
    return _plan_text(network.plan())


def _plan_text(plan: ArenaPlan) -> str:
    return json.dumps(plan.document(), indent=1) + "\n"


def _files(network: CNetwork, plan: ArenaPlan) -> dict[str, str]:
    codes = op_codes(network.graph, plan)
    values = template_values(network, plan, codes)
    files = {
        "include/hnas_model.h": render("hnas_model.h.j2", values),
        "src/hnas_model.c": render("hnas_model.c.j2", values),
        "src/hnas_resize.c": (TEMPLATES / "hnas_resize.c").read_text(),
        "examples/classify/main.c": render("main.c.j2", values),
        "CMakeLists.txt": render("CMakeLists.txt.j2", values),
        "library.json": _library(network),
        "README.md": render("README.md.j2", values),
        "plan.json": _plan_text(plan),
        **_weight_files(codes),
    }
    files |= dict(_firmware_files(network.router is not None, network.patches is not None))
    return files


def _firmware_files(router: bool, patches: bool) -> Iterator[tuple[str, str]]:
    root = firmware_dir()
    yield "include/hnas_kernels.h", (root / "hnas_kernels.h").read_text()
    for path in sorted((root / "kernels").glob("*.[ch]")):
        yield f"src/kernels/{path.name}", path.read_text()
    if patches:
        for path in sorted((root / "patches").glob("*.[ch]")):
            yield f"src/{path.name}", path.read_text()
    if router:
        yield "include/hnas_router.h", (root / "router" / "hnas_router.h").read_text()
        yield "src/hnas_router.c", (root / "router" / "hnas_router.c").read_text()


def _weight_files(codes: Sequence[OpCode]) -> dict[str, str]:
    constants = [text for code in codes for text in code.constants.values()]
    names = [text.partition(" =")[0].partition(" __attribute__")[0] for text in constants]
    header = "/* Constants of the network. */\n#ifndef HNAS_WEIGHTS_H\n#define HNAS_WEIGHTS_H\n\n"
    header += "#include <stdint.h>\n\n" + "".join(f"extern {name};\n" for name in names)
    start = '/* Constants of the network. */\n#include "hnas_weights.h"\n\n'
    return {
        "src/hnas_weights.h": header + "\n#endif\n",
        "src/hnas_weights.c": start + "\n\n".join(constants) + "\n",
    }


def _library(network: CNetwork) -> str:
    """The manifest that PlatformIO reads."""
    manifest = {
        "name": f"hnas_{network.name}",
        "version": "1.0.0",
        "description": f"int8 image classifier {network.name}, written by hybrid-nas",
        "license": "Apache-2.0",
        "frameworks": "*",
        "platforms": "*",
        "headers": "hnas_model.h",
        "build": {"flags": ["-O2", "-ffp-contract=off"], "srcFilter": ["+<*.c>", "+<kernels/*.c>"]},
    }
    return json.dumps(manifest, indent=2) + "\n"
