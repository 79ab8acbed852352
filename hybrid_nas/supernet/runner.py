"""Features and logits of one subnet on a few sets of images: the costly part of a candidate's
score.

Activate, extract, recalibrate in torch, fold batch norm, and run once in onnxruntime, which is
about twice as fast as torch on these networks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import onnxruntime
import torch

from hybrid_nas.spaces.cuts import cut_blocks
from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet.block_cache import BlockCache
from hybrid_nas.supernet.calibrate import recalibrate
from hybrid_nas.supernet.device import place
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.onnx_graph import to_onnx
from hybrid_nas.supernet.preprocess import normalise, resize, scale, to_tensor
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.typing import ByteArray, Float32Array

_BATCH = 64
_CALIBRATION_BATCH = 128


@dataclass(frozen=True)
class NetworkOutputs:
    """What a network says of one set of images: features (n, f) and logits (n, classes).

    `stages` are the pooled features (n, channels) at the space's cuts, if asked for.
    """

    features: Float32Array
    logits: Float32Array
    stages: tuple[Float32Array, ...] = ()


@dataclass(frozen=True)
class Timings:
    """Seconds that one run spent where; `compile_s` is writing ONNX and opening a session."""

    extract_s: float
    recalibrate_s: float
    compile_s: float
    forward_s: float


def inference_session(model: bytes) -> onnxruntime.InferenceSession:
    """An onnxruntime session on the CPU, of one thread.

    Networks of a few million MACs are over before a second thread has begun to help: several
    threads run batches of their own instead.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class SubnetRunner:
    """Runs subnets of one supernet on fixed sets of images, resized once per resolution.

    Args:
        supernet: in evaluation mode, on the CPU; its weights must stay as they are.
        calibration: training images for batch-norm statistics, uint8 (n, h, w, c).
        images: gives a set of images by name, uint8 (n, h, w, c); asked when a set is first run.
        threads: cores to use.
        stages: whether to give the pooled features at the space's cuts too (4 % more time).
    """

    def __init__(
        self,
        supernet: Supernet,
        calibration: ByteArray,
        images: Callable[[str], ByteArray],
        *,
        threads: int = 1,
        stages: bool = False,
    ) -> None:
        self.supernet, self.threads, self.stages = supernet, threads, stages
        self._blocks = BlockCache(supernet)
        self._calibration, self._images = to_tensor(calibration), images
        self._resized: dict[tuple[str, tuple[int, int]], torch.Tensor] = {}
        self._calibration_at: dict[tuple[int, int], list[torch.Tensor]] = {}

    def network(self, genes: Genes) -> StandaloneNet:
        """The subnet on its own, with statistics of its own."""
        self.supernet.activate(genes)
        network = place(self.supernet.extract(), "cpu")
        self._recalibrate(network)
        return network

    def _recalibrate(self, network: StandaloneNet) -> None:
        height, width, _ = network.architecture.input_shape
        size = (height, width)
        if size not in self._calibration_at:
            scaled = normalise(resize(self._calibration, size))
            self._calibration_at[size] = list(scaled.split(_CALIBRATION_BATCH))
        recalibrate(network, self._calibration_at[size], threads=self.threads)

    def _pixels(self, name: str, size: tuple[int, int]) -> torch.Tensor:
        """One set at one size, as onnxruntime lays it out; uint8 takes a quarter of floats."""
        if (name, size) not in self._resized:
            self._resized[name, size] = resize(to_tensor(self._images(name)), size).contiguous()
        return self._resized[name, size]

    def run(
        self, genes: Genes, names: tuple[str, ...]
    ) -> tuple[dict[str, NetworkOutputs], Timings]:
        """Outputs of a subnet on the named sets, and where the time went."""
        torch.set_num_threads(self.threads)
        begun = time.perf_counter()
        network = self._blocks.network(genes)
        extracted = time.perf_counter()
        self._recalibrate(network)
        calibrated = time.perf_counter()
        cuts = cut_blocks(self.supernet.space, genes) if self.stages else ()
        model = to_onnx(network, cuts)
        session = inference_session(model.SerializeToString())
        compiled = time.perf_counter()
        height, width, _ = network.architecture.input_shape
        sets = [self._pixels(name, (height, width)) for name in names]
        outputs = dict(zip(names, forward(session, sets, self.threads), strict=True))
        done = time.perf_counter()
        return outputs, Timings(
            extracted - begun, calibrated - extracted, compiled - calibrated, done - compiled
        )


def forward(
    session: onnxruntime.InferenceSession, sets: Sequence[torch.Tensor], threads: int
) -> list[NetworkOutputs]:
    """Outputs of a session on sets of resized images, uint8 (n, channels, h, w), in batches.

    The same to the bit, however many threads share the batches.
    """

    def run(batch: torch.Tensor) -> list[Any]:
        outputs: list[Any] = session.run(None, {"image": scale(batch).contiguous().numpy()})
        return outputs  # in the graph's order

    batches = [pixels.split(_BATCH) for pixels in sets]
    with ThreadPoolExecutor(threads) as pool:  # of all sets at once, so that no thread waits
        parts = pool.map(run, chain.from_iterable(batches))
        return [_joined(islice(parts, len(those))) for those in batches]


def _joined(parts: Iterable[list[Any]]) -> NetworkOutputs:
    features, logits, *stages = (np.concatenate(column) for column in zip(*parts, strict=True))
    return NetworkOutputs(features, logits, tuple(stages))


def run_network(network: StandaloneNet, images: ByteArray, *, threads: int = 1) -> NetworkOutputs:
    """Outputs of a calibrated network on stored images, uint8 (n, h, w, c)."""
    session = inference_session(to_onnx(network).SerializeToString())
    height, width, _ = network.architecture.input_shape
    parts = [
        forward(session, [resize(to_tensor(images[k : k + 1024]), (height, width))], threads)[0]
        for k in range(0, len(images), 1024)
    ]
    return NetworkOutputs(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.logits for part in parts]),
    )
