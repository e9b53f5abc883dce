"""Deep supervision: what the heads of the decoder's stages learn, and that they stay behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lvunet.errors import ConfigError
from lvunet.learn.config import TrainConfig
from lvunet.learn.loss import loss_of
from lvunet.learn.supervision import DeepSupervision
from lvunet.model import LVUNet
from trainings import rows, run, tensors


def test_its_heads_learn_and_stay_behind(phantoms: Path, tmp_path: Path) -> None:
    alone = run(phantoms, tmp_path / "alone", epochs=2, deep="done")
    watched = run(phantoms, tmp_path / "watched", epochs=2, deep="done", deep_supervision=0.5)
    assert float(rows(watched.folder)[0]["train_loss"]) > float(rows(alone.folder)[0]["train_loss"])  # a loss more
    assert tensors(watched.best).keys() == tensors(alone.best).keys()
    last = torch.load(watched.folder / "last.ckpt", weights_only=True)
    biases = [
        bias for name, bias in last["state_dict"].items() if name.startswith("supervision.heads") and "bias" in name
    ]
    assert len(biases) == 5
    assert len(last["optimizer_states"][0]["state"]) == len(list(LVUNet().parameters())) + 2 * len(biases)


def test_its_weight_is_that_of_the_configuration(phantoms: Path, tmp_path: Path) -> None:
    still: dict[str, Any] = {"epochs": 1, "deep": "done", "learning_rate": 1e-12, "final_learning_rate": 0}
    weights = (0.0, 0.5, 1.0)
    runs = [run(phantoms, tmp_path / f"{weight}", deep_supervision=weight, **still) for weight in weights]
    none, half, whole = (float(rows(each.folder)[0]["train_loss"]) for each in runs)
    assert whole - none == pytest.approx(2 * (half - none), rel=1e-3)
    assert half - none > 0.01


def test_each_stage_is_held_against_the_mask_at_the_size_of_the_image() -> None:
    """At 96 px the network sees 128. Each head is made to give the first channel of its stage."""
    torch.manual_seed(0)
    network = LVUNet().train()
    supervision = DeepSupervision(network, nn.MSELoss())
    with torch.no_grad():
        for name, parameter in supervision.heads.named_parameters():
            parameter.zero_()
            if name.endswith("weight"):
                parameter[0, 0] = 1
    outputs: list[torch.Tensor] = []
    for stage in network.decoder[:-1]:
        stage.register_forward_hook(lambda _stage, _input, output: outputs.append(output))
    target = torch.rand(2, 1, 96, 96)
    network(torch.rand(2, 3, 96, 96))
    expected = [
        (F.interpolate(output[:, :1], (128, 128), mode="bilinear")[..., :96, :96] - target).square().mean()
        for output in outputs
    ]
    torch.testing.assert_close(supervision(target), torch.stack(expected).mean())


def test_a_step_learns_from_its_own_images_whatever_was_seen_before() -> None:
    network = LVUNet()
    supervision = DeepSupervision(network, loss_of("paper", 1))
    image, target = torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64)
    network.train()(torch.rand(1, 3, 160, 160))  # without its loss
    network.train()(image)
    network.eval()(torch.rand(1, 3, 160, 160))
    assert supervision(target).isfinite()
    with pytest.raises(KeyError):  # of no step
        supervision(target)


def test_a_cuda_graph_hides_the_stages() -> None:
    with pytest.raises(ConfigError, match="deep_supervision or cuda_graphs, not both"):
        TrainConfig.read(None, {"deep_supervision": 0.5, "cuda_graphs": True})
