"""What may happen to an image and its mask in training, by torchvision.transforms.v2; the mask stays integer."""

from typing import Literal

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

Preset = Literal["paper", "strong", "none"]
BILINEAR = v2.InterpolationMode.BILINEAR


def augmentation(preset: Preset) -> v2.Transform:
    """Return the transform of a preset, for `tv_tensors` of uint8 (C, H, W).

    "paper" is the paper's: quarter turns and flips. "strong" adds what cameras, probes and light do: scale, shift,
    free rotation, colour, blur, noise. (v2.JPEG is deprecated with its decoder; torchvision 0.29.)
    """
    if preset == "none":
        return v2.Identity()
    dihedral = v2.Compose(
        [
            v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in (0, 90, 180, 270)]),
            v2.RandomHorizontalFlip(),
        ]
    )
    if preset == "paper":
        return dihedral
    return v2.Compose(
        [
            dihedral,
            v2.RandomApply([v2.RandomAffine(45, (0.1, 0.1), (0.75, 1.25), interpolation=BILINEAR)], p=0.7),
            v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.3, 0.03)], p=0.7),
            v2.RandomGrayscale(0.05),
            v2.RandomApply([v2.GaussianBlur(5, (0.2, 1.5))], p=0.2),
            v2.RandomApply([GaussianNoise(8.0)], p=0.2),
        ]
    )


class GaussianNoise(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Adds normal noise of up to `sigma` grey levels to uint8 images; `v2.GaussianNoise` takes floats only."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def make_params(self, flat_inputs: list[object]) -> dict[str, float]:
        """Draw the strength."""
        return {"sigma": self.sigma * torch.rand(()).item()}

    def transform(self, inpt: torch.Tensor, params: dict[str, float]) -> torch.Tensor:
        """Add the noise to an image, leave a mask."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        noisy = inpt.float() + params["sigma"] * torch.randn(inpt.shape)
        return tv_tensors.wrap(noisy.round().clamp(0, 255).to(torch.uint8), like=inpt)
