"""``supernet evaluate`` and ``info`` behind their flags; imported late, for torch's sake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hybrid_nas.cli.output import console, emit_json, make_table
from hybrid_nas.data.dataset import SPLITS, Dataset
from hybrid_nas.data.resize import parse_image_size
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.data.stored import StoredDataset
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.supernet.checkpoint import SupernetInfo, read_info
from hybrid_nas.supernet.device import choose_device
from hybrid_nas.supernet.evaluation import SubnetAccuracy, check_data_fits, evaluate_subnets
from hybrid_nas.supernet.sources import bundled_supernet_path, open_supernet
from hybrid_nas.units import describe_bytes

if TYPE_CHECKING:
    from rich.console import Console

EVALUATE_SCHEMA = "hybrid-nas/supernet-evaluate/1"
INFO_SCHEMA = "hybrid-nas/supernet-info/1"


@dataclass(frozen=True)
class DataFlags:
    """Which images: ``--data``, ``--image-size`` and ``--group``."""

    spec: str
    image_size: str | None = None
    group: str | None = None

    def open(self, text: Console) -> Dataset:
        """The data set; what is worth knowing about it is printed."""
        size = None if self.image_size is None else parse_image_size(self.image_size)
        # the seed of the splits stays at its default, so that a search never scores images that its
        # supernet was trained on
        data = open_dataset(self.spec, image_size=size, group=self.group)
        if isinstance(data, StoredDataset):
            for warning in data.warnings:
                text.print(f"note: {warning}", markup=False)
        return data


def run_evaluate(
    spec: str | None,
    where: DataFlags,
    *,
    space: str | None,
    split: str,
    random_subnets: int,
    images: int | None,
    recalibrate: bool,
    seed: int,
    device: str,
    threads: int,
    json: bool,
) -> None:
    """``supernet evaluate``."""
    text = console(json=json)
    torch.set_num_threads(threads)
    if split not in SPLITS:
        raise InputError(f"--split must be one of {', '.join(SPLITS)} (got {split!r})")
    opened = open_supernet(spec, space=space)
    data = where.open(text)
    check_data_fits(opened.info, data)
    subnets: list[SubnetAccuracy] = []
    with text.status("evaluating") as status:
        for subnet in evaluate_subnets(
            opened.supernet,
            data,
            split=split,
            random_subnets=random_subnets,
            images=images,
            seed=seed,
            recalibrated=recalibrate,
            device=choose_device(device),
        ):
            subnets.append(subnet)
            status.update(f"evaluating: {len(subnets)} done")
    if json:
        emit_json(
            {
                "schema": EVALUATE_SCHEMA,
                "supernet": opened.path,
                "fingerprint": opened.fingerprint,
                "space": opened.info.space,
                "data": data.name,
                "split": split,
                "recalibrated": recalibrate,
                "seed": seed,
                "subnets": subnets,
            }
        )
        return
    print_subnets(text, subnets, split)
    if not recalibrate:
        text.print("without recalibration: only the largest has statistics of its own")


def print_subnets(text: Console, subnets: Sequence[SubnetAccuracy], split: str) -> None:
    """A table of subnets and their accuracies."""
    columns = ["subnet", "resolution", "width", "MMAC", "parameters", "accuracy", "± 1 se"]
    rows = [
        (
            subnet.role,
            subnet.genes["resolution"],
            subnet.genes.get("width"),
            f"{subnet.macs / 1e6:.2f}",
            f"{subnet.params:,}",
            f"{subnet.accuracy:.2%}",
            f"{subnet.stderr:.2%}",
        )
        for subnet in subnets
    ]
    title = f"accuracy on {subnets[0].images} images of split {split}"
    text.print(make_table(columns, rows, title=title, numeric=columns[1:]))


def run_info(file: Path | None, *, json: bool) -> None:
    """``supernet info``."""
    path = bundled_supernet_path() if file is None else file
    info = read_info(path)
    digest = sha256_of_file(path)
    if json:
        emit_json({"schema": INFO_SCHEMA, "file": path, "fingerprint": digest, **vars(info)})
        return
    text = console(json=False)
    table = make_table(("", "what"), _facts(path, info, digest))
    table.show_header = False
    text.print(table)


def _facts(path: Path, info: SupernetInfo, digest: str) -> list[tuple[str, Any]]:
    height, width, channels = info.input_shape
    try:
        networks = f"{info.load_space().count():.3g}"
    except InputError:  # its YAML file has moved: all else can be said all the same
        networks = "unknown, as the space is not to be had from here"
    return [
        ("file", f"{path}, {describe_bytes(path.stat().st_size)}"),
        ("fingerprint", digest),
        ("space", info.space),
        ("networks", networks),
        *((name, " ".join(map(str, values))) for name, values in info.choices.items()),
        ("images", f"{height}x{width}, {channels} channels (height x width)"),
        ("classes", f"{len(info.classes)}: {_shortened(info.classes)}"),
        ("data", f"{info.data} ({info.data_fingerprint[:12]})"),
        *((name.replace("_", " "), value) for name, value in info.recipe.items()),
    ]


def _shortened(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
