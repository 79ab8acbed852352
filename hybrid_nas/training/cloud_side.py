"""The cloud in final training: whom the router may ask, who teaches, and who may learn too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_nas.data.cloud import CloudModel, KnowsSplits, cloud_outputs
from hybrid_nas.data.dataset import Dataset, Split
from hybrid_nas.errors import InputError
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.supernet.cloud import SupernetCloud
from hybrid_nas.supernet.preprocess import normalise, resize
from hybrid_nas.supernet.teacher import Teacher, teacher_from_cloud


class CloudSide:
    """A cloud model beside a base in training.

    Args:
        cloud: the model.
        data: what both are trained and judged on.
        trains: whether its weights change; only a network of ours can.
        device: where the base is.

    Raises:
        InputError: `trains`, and the model is not one of ours.
    """

    def __init__(self, cloud: CloudModel, data: Dataset, *, trains: bool, device: str) -> None:
        self.cloud, self.data, self.trains, self.device = cloud, data, trains, device
        if trains and not isinstance(cloud, SupernetCloud):
            raise InputError(
                f"--train-cloud: {cloud.name} is no network of ours, and only those can be "
                "trained further (a .pt file of `hybrid-nas supernet train`)"
            )
        self.teacher = self._find_teacher()

    def _find_teacher(self) -> Teacher | None:
        """Soft labels for training images; None where the cloud cannot answer for new ones."""
        if isinstance(self.cloud, KnowsSplits):
            return None
        try:
            return teacher_from_cloud(self.cloud, self.data, device=self.device)
        except InputError:
            return None  # it gives predictions without probabilities

    @property
    def network(self) -> nn.Module | None:
        """The network that learns; None where the cloud stays as it is."""
        if not self.trains or not isinstance(self.cloud, SupernetCloud):
            return None
        return self.cloud.network

    def logits(self, pixels: Tensor) -> Tensor:
        """With gradients, for stored uint8 images (n, c, h, w)."""
        assert isinstance(self.cloud, SupernetCloud)
        height, width, _ = self.cloud.network.architecture.input_shape
        found: Tensor = self.cloud.network(normalise(resize(pixels, (height, width))))
        return found

    def answers(self, split: Split) -> ModelOutputs:
        """What the cloud says of a split, as it is now, with labels."""
        images = self.data.split(split)
        if not self.trains:
            found = cloud_outputs(self.cloud, self.data, split)
        else:
            with torch.inference_mode():
                found = self.cloud.predict(images)
        return ModelOutputs(
            labels=images.labels,
            probabilities=found.probs,
            predicted=found.pred if found.probs is None else None,
            source=f"the cloud on split {split}",
        )
