"""Any published network of one file of layers and one of weights, through the same exporters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybrid_nas.data.normalisation import HALF, NAMED, Normalisation
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.errors import InputError
from hybrid_nas.export.bundle import FolderInTheMaking
from hybrid_nas.export.c_code.patch_choice import patches_document, with_patches
from hybrid_nas.export.c_code.project import CNetwork, plan_text, write_c_project
from hybrid_nas.export.formats import check_formats
from hybrid_nas.export.from_run import identifier
from hybrid_nas.export.network import ExportedNetwork, Precision
from hybrid_nas.export.onnx_metadata import CalibrationData, Provenance
from hybrid_nas.export.onnx_models import base_model, write_onnx
from hybrid_nas.export.pair_document import SCHEMA, network_document
from hybrid_nas.export.tflite_file import write_tflite
from hybrid_nas.files import sha256_of_file
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.quantise.int8_graph import int8_graph
from hybrid_nas.search.provenance import versions
from hybrid_nas.spaces.interchange import architecture_to_json, read_architecture
from hybrid_nas.supernet.checkpoint import load_standalone
from hybrid_nas.supernet.ofa_weights import read_our_images
from hybrid_nas.supernet.preprocess import prepare
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.typing import ByteArray

MADE_UP = "made-up images (right for sizes and times, not for accuracy)"
_SYNTHETIC = 64
_BATCH = 16
_SEED = 0xCA11


@dataclass(frozen=True)
class NetworkJob:
    """What to export.

    Attributes:
        arch: architecture JSON of MCUNet or Once-for-All.
        weights: checkpoint of that network.
        out: folder to make.
        formats: some of ``onnx``, ``tflite``, ``c``.
        calibration: data set whose training images set the ranges of activations; None makes
            images up, which is enough for sizes and times, not for accuracy.
        force: replace an earlier export.
        plan: write the arena's plan beside.
        patches: which operators of the C code run patch by patch, see `with_patches`.
        normalisation: of the images that the weights were trained on.
    """

    arch: Path
    weights: Path
    out: Path
    formats: Sequence[str]
    calibration: str | None = None
    force: bool = False
    plan: bool = False
    patches: str = "off"
    normalisation: Normalisation = NAMED[HALF]

    def run(self) -> dict[str, Any]:
        """Export, and return what ``pair.yaml`` says.

        Raises:
            InputError: a file is missing, damaged, or does not fit the other, or a format that
                the network does not have.
        """
        with FolderInTheMaking(self.out, force=self.force) as bundle:
            network, calibration = self.network()
            check_formats(network, self.formats, plan=self.plan)
            text = json.dumps(architecture_to_json(network.architecture), indent=1)
            bundle.add("architecture.json", "layers, as MCUNet writes them").write_text(text)
            precisions: list[Precision] = ["fp32"] if network.graph is None else ["fp32", "int8"]
            if "onnx" in self.formats:
                for precision in precisions:
                    words = "float32" if precision == "fp32" else "int8 (QDQ)"
                    model = base_model(network, precision, provenance=Provenance(calibration))
                    path = bundle.add(f"base-{precision}.onnx", f"the network in {words}")
                    write_onnx(model, path)
            document: dict[str, Any] = {"name": network.name, "base": network_document(network)}
            if network.graph is not None and "tflite" in self.formats:
                what = "the network in int8, for TFLM, ESP-NN, Vela, Edge Impulse"
                write_tflite(network, bundle.add("base-int8.tflite", what))
            if self.plan:
                text = plan_text(self._c_network(network))
                bundle.add("plan.json", "the arena: tensors, lifetimes, offsets").write_text(text)
            if network.graph is not None and "c" in self.formats:
                what = "the network in C99: CMake project and PlatformIO library"
                code = self._c_network(network)
                project = write_c_project(code, bundle.add("c", what))
                document["c"] = {
                    "arena_bytes": project.plan.arena_bytes,
                    "constant_bytes": project.constant_bytes,
                    "patches": patches_document(code, project.plan),
                }
            document["calibration"] = {
                **calibration.document(),
                "what": "training images" if self.calibration else MADE_UP,
            }
            document["provenance"] = {
                "hashes": {
                    "architecture": sha256_of_file(self.arch),
                    "weights": sha256_of_file(self.weights),
                },
                "trained_on": {
                    "mean": list(self.normalisation.mean),
                    "std": list(self.normalisation.std),
                },
                "exported_with": versions(),
            }
            if network.graph is None:
                document["notes"] = [
                    "It has operators without an int8 kernel (squeeze-and-excitation, h-swish): "
                    "written in float, as ONNX alone."
                ]
            elif self.calibration is None:
                document["notes"] = [
                    "Activations were measured on made-up images: sizes and times are right, the "
                    "accuracy in int8 is not. Give images of your own with --calibration."
                ]
            return bundle.write_documents({"schema": SCHEMA, **document})

    def _c_network(self, network: ExportedNetwork) -> CNetwork:
        return with_patches(CNetwork.of(network), network.architecture, self.patches)

    def network(self) -> tuple[ExportedNetwork, CalibrationData]:
        """The network, and what its activations were measured on.

        Raises:
            InputError: a file is missing, damaged, or does not fit the other.
        """
        for flag, path in (("--arch", self.arch), ("--weights", self.weights)):
            if not path.is_file():
                raise InputError(f"{flag} {path}: no such file")
        architecture = read_architecture(self.arch)
        network = StandaloneNet(architecture)
        load_standalone(self.weights, network)
        self._read_our_images(network)
        operators = float_graph(network)
        images, classes, what = self._images(architecture.input_shape)
        if classes is None or len(classes) != architecture.classes:
            classes = tuple(str(k) for k in range(architecture.classes))
        rounded = FakeQuantNet(operators).eval()
        try:
            with torch.inference_mode():
                batches = [images[k : k + _BATCH] for k in range(0, len(images), _BATCH)]
                rounded.calibrate(prepare(part, architecture.input_shape[:2]) for part in batches)
            graph = int8_graph(rounded, architecture.input_shape)
        except InputError:
            graph = None  # squeeze-and-excitation, h-swish: float only
        name = identifier(self.arch.stem)
        return ExportedNetwork(name, architecture, operators, graph, classes), what

    def _read_our_images(self, network: StandaloneNet) -> None:
        if self.normalisation == NAMED[HALF]:
            return
        try:
            self.normalisation.check_channels(network.architecture.input_shape[2])
            read_our_images(network, self.normalisation.mean, self.normalisation.std)
        except InputError as error:
            raise InputError(f"--normalisation does not fit {self.arch}: {error}") from error

    def _images(
        self, input_shape: tuple[int, int, int]
    ) -> tuple[ByteArray, tuple[str, ...] | None, CalibrationData]:
        if self.calibration is None:
            made_up = made_up_images(_SYNTHETIC, input_shape)
            return made_up, None, _described("made-up images", made_up)
        data = open_dataset(self.calibration, image_size=input_shape[:2])
        if data.image_shape[2] != input_shape[2]:
            raise InputError(
                f"--calibration {self.calibration} has images of {data.image_shape[2]} channels, "
                f"the network reads {input_shape[2]}"
            )
        found = data.training_images(FinalRecipe().calibration_images, _SEED).images
        name = f"{self.calibration}, split train"
        return found, tuple(data.classes), _described(name, found)


def _described(name: str, images: ByteArray) -> CalibrationData:
    return CalibrationData(name, len(images), hashlib.sha256(images.tobytes()).hexdigest())


def made_up_images(n: int, shape: tuple[int, int, int]) -> ByteArray:
    """Noise with the spectrum of photographs, uint8 (n, h, w, c).

    Amplitudes fall as one over frequency (Field, "Relations between the statistics of natural
    images", 1987), phases are random.
    """
    h, w, c = shape
    rng = np.random.default_rng(_SEED)
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])
    frequency[0, 0] = np.inf
    grey = rng.normal(size=(n, h, w, 1))
    noise = 0.9 * grey + 0.3 * rng.normal(size=(n, h, w, c))  # channels of photographs go together
    spectrum = np.fft.rfft2(noise, axes=(1, 2)) / frequency[None, :, :, None]
    field = np.fft.irfft2(spectrum, s=(h, w), axes=(1, 2))
    field /= field.std(axis=(1, 2), keepdims=True)
    brightness = rng.uniform(80, 170, (n, 1, 1, 1))
    levels = brightness + rng.uniform(30, 70, (n, 1, 1, 1)) * field
    images: ByteArray = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return images
