"""What is verified: a pair of a run, or any network of two files; on which images; how large."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_nas.data.sources import open_dataset
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.from_files import NetworkJob, made_up_images
from hybrid_nas.export.from_run import ExportedPair
from hybrid_nas.export.int8_outputs import network_pixels
from hybrid_nas.export.job import c_network
from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.typing import ByteArray, IntArray


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, and images to run it on.

    Attributes:
        network: as exporters have it; with an int8 version.
        code: the same as C is written from, its router included.
        images: uint8 (n, h, w, c), as the network reads them.
        labels: (n,); None where nobody knows.
        images_from: where they are from, in words.
        sram_bytes, flash_bytes: what the network may take.
    """

    network: ExportedNetwork
    code: CNetwork
    images: ByteArray
    labels: IntArray | None
    images_from: str
    sram_bytes: int
    flash_bytes: int


def pair_subject(opened: ExportedPair, board: str, images: int) -> Subject:
    """A pair, on the first images of the test split, within the run's limits.

    Raises:
        InputError: the base has no int8 version.
    """
    setup, there = opened.pair.setup, load_board(board)
    test = opened.subject.data.split("test")
    return Subject(
        network=opened.network,
        code=c_network(opened),
        images=network_pixels(test.images[:images], opened.graph.input_shape),
        labels=test.labels[:images],
        images_from="the test split",
        sram_bytes=min(setup.limits.sram_bytes, there.sram_bytes),
        flash_bytes=min(setup.limits.flash_bytes, there.flash_bytes),
    )


def files_subject(job: NetworkJob, board: str, images: int) -> Subject:
    """A network of files, on the test split of its calibration data or made-up images.

    It may take what the board has.

    Raises:
        InputError: a file is missing, damaged or does not fit the other; no int8 version.
    """
    network, _ = job.network()
    code, there = CNetwork.of(network), load_board(board)
    shape = network.architecture.input_shape
    labels, words = None, "made up: right for memory, times and agreement"
    if job.calibration is None:
        pixels = made_up_images(images, shape)
    else:
        data = open_dataset(job.calibration, image_size=shape[:2])
        test = data.split("test")
        pixels, words = network_pixels(test.images[:images], shape), f"{job.calibration}, test"
        if len(data.classes) == network.architecture.classes:
            labels = test.labels[:images]
    return Subject(network, code, pixels, labels, words, there.sram_bytes, there.flash_bytes)
