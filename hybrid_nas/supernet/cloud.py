"""A trained network of ours as the cloud's model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hybrid_nas.data.cloud import CloudOutputs
from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet import network_file
from hybrid_nas.supernet.checkpoint import SupernetInfo, read_tensors, supernet_of
from hybrid_nas.supernet.device import place
from hybrid_nas.supernet.preprocess import normalise, resize, to_tensor
from hybrid_nas.supernet.runner import run_network
from hybrid_nas.supernet.standalone import StandaloneNet

_BATCH = 128


class SupernetCloud:
    """One calibrated network; satisfies `hybrid_nas.data.cloud.CloudModel`.

    Attributes:
        name: for people.
        fingerprint: digest of the file that it came from.
        network: is run where its weights are.
        info, genes: which network of which space it is.
    """

    def __init__(
        self,
        network: StandaloneNet,
        *,
        name: str,
        fingerprint: str,
        info: SupernetInfo,
        genes: Genes,
    ) -> None:
        self.network = place(network, "cpu").eval()
        self.name, self.fingerprint, self.info, self.genes = name, fingerprint, info, genes

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of its outputs."""
        return self.info.classes

    def logits(self, pixels: Tensor) -> Tensor:
        """Logits (n, classes) for uint8 images (n, c, h, w) of any size, by torch."""
        height, width, _ = self.network.architecture.input_shape
        self._check_channels(pixels.shape[1])
        with torch.inference_mode():
            logits: Tensor = self.network(normalise(resize(pixels, (height, width))))
        # a tensor made in inference mode may not take part in a loss
        return logits.clone()

    def predict(self, images: ImageSet) -> CloudOutputs:
        """Predicted classes and probabilities; labels are not looked at.

        On the CPU by onnxruntime, which takes a third of torch's time.
        """
        self._check_channels(images.images.shape[3])
        device = next(self.network.parameters()).device
        if device.type == "cpu":
            threads = torch.get_num_threads()
            logits = torch.from_numpy(
                run_network(self.network, images.images, threads=threads).logits
            )
        else:
            batches = to_tensor(images.images).split(_BATCH)
            logits = torch.cat([self.logits(batch.to(device)).cpu() for batch in batches])
        probs = logits.double().softmax(1).numpy()
        return CloudOutputs(probs.argmax(axis=1), probs)

    def _check_channels(self, channels: int) -> None:
        expected = self.network.architecture.input_shape[2]
        if channels != expected:
            raise InputError(f"{self.name} reads images of {expected} channels (got {channels})")


def open_supernet_cloud(path: Path) -> SupernetCloud:
    """The largest network of a supernet file, with the batch-norm statistics stored for it.

    In a space of one network that is the network. `hybrid-nas supernet train` leaves the largest
    network's own statistics in the file, so no training images are needed here. A file of a single
    network, as final training writes it, is read too.

    Raises:
        InputError: no such file, or not one of ours.
    """
    document = read_tensors(path)
    if document.get("schema") == network_file.SCHEMA:
        network, info, genes = network_file.network_of(document, path)
    else:
        supernet, info = supernet_of(document, path)
        genes = tuple(supernet.space.extremes()[1].tolist())
        supernet.activate(genes)
        network = supernet.extract()
    fingerprint = sha256_of_file(path)
    return SupernetCloud(network, name=path.name, fingerprint=fingerprint, info=info, genes=genes)
