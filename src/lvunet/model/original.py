"""Pixels as the original authors' code feeds them to its network, said in the words of our card.

It reads BGR, normalises with the statistics of RGB in that order, and divides the result by 255 once more:

    ((p / 255 - mean_k) / std_k) / 255 = (p / 255 - mean_k) / (255 std_k),    k counting from blue

So with mean and 255 std turned round, and the stem's kernels too, an RGB image gives the same logits. (Its resize is
not antialiased; that difference stays.)
"""

from copy import deepcopy
from dataclasses import replace

import torch

from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, Card
from lvunet.errors import ConfigError
from lvunet.model.lvunet import LVUNet


def fed_as_by_the_authors(network: LVUNet, card: Card) -> tuple[LVUNet, Card]:
    """Return a network of three channels that takes RGB, as ours do, and answers as it would in the authors' code.

    The card is changed to match; the given network is left as it is. Raises `ConfigError` for other channels.
    """
    if network.in_channels != 3:
        raise ConfigError(
            f"the authors' code feeds BGR, three channels, and this network takes {network.in_channels}: "
            "import it with --pixels ours, and see that it was trained on such pixels."
        )
    fed = deepcopy(network)
    kernel = fed.get_parameter("stem.0.weight")
    with torch.no_grad():
        kernel.copy_(kernel.flip(1))
    return fed, replace(card, mean=IMAGENET_MEAN[::-1], std=tuple(255 * std for std in IMAGENET_STD[::-1]))
