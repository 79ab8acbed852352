"""The one place that imports `ofa`, and makes it work without torchvision.

Every submodule of `ofa` imports ``ofa.utils``, which imports its ImageNet data loader, which needs
torchvision. Nothing here loads ImageNet through it, so an empty module stands in for that loader
before the first submodule is imported. Where torchvision is installed nothing is replaced.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

_LOADER = "ofa.utils.my_dataloader"

if importlib.util.find_spec("torchvision") is None:
    sys.modules.setdefault(_LOADER, ModuleType(_LOADER))

from ofa.imagenet_classification.elastic_nn.modules.dynamic_layers import (  # noqa: E402
    DynamicConvLayer,
    DynamicLinearLayer,
    DynamicMBConvLayer,
    DynamicResNetBottleneckBlock,
)
from ofa.utils.common_tools import download_url  # noqa: E402
from ofa.utils.layers import (  # noqa: E402
    ConvLayer,
    LinearLayer,
    MBConvLayer,
)

__all__ = [
    "ConvLayer",
    "DynamicConvLayer",
    "DynamicLinearLayer",
    "DynamicMBConvLayer",
    "DynamicResNetBottleneckBlock",
    "LinearLayer",
    "MBConvLayer",
    "download_url",
]
