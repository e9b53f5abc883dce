"""`lvunet weights` as a user meets it, and the cards of the models in the package."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lvunet.model import PixelsToProbability, load_checkpoint
from lvunet.runtime.segmenter import load
from lvunet.runtime.zoo import ZOO, bundled
from models import picture

ROOT = Path(__file__).parents[1]
LOGIT_TOLERANCE = 1e-4  # the project's, to the logits of the authors' code
MODELS = bundled()

Lvunet = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "reference" / "lvunet_original.safetensors")


@pytest.fixture
def original(reference: dict[str, Tensor], tmp_path: Path) -> Path:
    """A checkpoint as the original authors' code writes it."""
    prefix = "state_dict."
    torch.save(
        {k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)}, tmp_path / "their.pth"
    )
    return tmp_path / "their.pth"


def test_the_list_says_what_each_model_is_for_what_it_reached_and_on_which_terms(lvunet: Lvunet) -> None:
    code, said, _ = lvunet("weights", "list")
    words = " ".join(said.split())
    assert code == 0
    for model in MODELS.values():
        assert model.outlines in words
        assert model.sha256[:12] in words
        assert f"{model.scores[0].dice:.3f} ({model.scores[0].low:.3f} to {model.scores[0].high:.3f})" in words
        assert model.data_terms[0][:40] in words
        assert f"{(ZOO / f'{model.name}.onnx').stat().st_size / 1e6:.2f} MB" in words


def test_verify_proves_all_models_or_those_that_are_named(lvunet: Lvunet) -> None:
    code, said, _ = lvunet("weights", "verify")
    assert code == 0
    assert said.count(": ok") == len(MODELS)
    first = next(iter(MODELS))
    assert lvunet("weights", "verify", first)[:2] == (0, f"{first}: ok, {MODELS[first].sha256[:12]}...\n")


def test_verify_of_a_model_that_is_not_in_the_package_offers_the_nearest(lvunet: Lvunet) -> None:
    first = next(iter(MODELS))
    code, _, complaint = lvunet("weights", "verify", f"{first}s")
    assert code == 2
    assert f"Did you mean '{first}'?" in complaint


def test_an_imported_checkpoint_computes_what_the_authors_code_did(
    lvunet: Lvunet, original: Path, reference: dict[str, Tensor], tmp_path: Path
) -> None:
    ours = tmp_path / "ours.safetensors"
    code, said, _ = lvunet("weights", "import", original, "-o", ours, "--pixels", "ours", "--slope", 0.5)
    assert (code, said) == (0, f"1 class, slope 0.5: {ours}\n")
    network, card = load_checkpoint(ours)
    assert (card.name, card.training) == ("ours", {"imported": "their.pth"})
    with torch.inference_mode():
        logits = network(reference["input_256x256"])
    assert (logits - reference["logits_256x256_slope_0.5"]).abs().max() < LOGIT_TOLERANCE


def test_by_default_it_is_fed_as_the_authors_feed_it_and_can_be_folded(
    lvunet: Lvunet, original: Path, tmp_path: Path
) -> None:
    for how in ("ours", "original"):
        command = ("weights", "import", original, "-o", tmp_path / f"{how}.safetensors", "--name", "theirs")
        assert lvunet(*command, *(("--pixels", how) if how == "ours" else ()))[0] == 0
    plain, fed = (load_checkpoint(tmp_path / f"{how}.safetensors") for how in ("ours", "original"))
    assert fed[0].slope == 1
    assert fed[1].name == "theirs"
    pixels = torch.from_numpy(picture(64, 64)).permute(2, 0, 1)[None].float()
    mean, std = torch.tensor(plain[1].mean).view(3, 1, 1), torch.tensor(plain[1].std).view(3, 1, 1)
    with torch.inference_mode():
        expected = plain[0]((pixels.flip(1) / 255 - mean) / std / 255)
        logits = PixelsToProbability(fed[0], fed[1].mean, fed[1].std).logits(pixels)
    assert (logits - expected).abs().max() < 10 * LOGIT_TOLERANCE  # inputs of size 0.01 are rounded as if of size 0.1


@pytest.fixture
def grey(original: Path, tmp_path: Path) -> Path:
    """The same network for one channel: its stem answers a grey value as the original does three equal ones."""
    state = torch.load(original, weights_only=True)
    state["firstconv.0.weight"] = state["firstconv.0.weight"].sum(dim=1, keepdim=True)
    torch.save(state, tmp_path / "grey.pth")
    return tmp_path / "grey.pth"


def test_a_checkpoint_of_one_channel_becomes_a_model_of_grey_pictures(
    lvunet: Lvunet, original: Path, grey: Path, tmp_path: Path
) -> None:
    ours, rgb = tmp_path / "ours.safetensors", tmp_path / "rgb.safetensors"
    for source, target in ((grey, ours), (original, rgb)):
        assert lvunet("weights", "import", source, "-o", target, "--pixels", "ours")[0] == 0
    network, card = load_checkpoint(ours)
    assert card.in_channels == 1
    assert (*card.mean, *card.std) == pytest.approx((0.449, 0.226))
    values = torch.from_numpy(picture(64, 64, 1)).permute(2, 0, 1)[None] / 255 - 0.5
    with torch.inference_mode():
        expected = load_checkpoint(rgb)[0](values.expand(1, 3, 64, 64))
        assert (network(values) - expected).abs().max() < LOGIT_TOLERANCE
    assert load(ours)(picture(64, 80)).shape == (64, 80)


def test_channels_whose_pixels_nobody_described_are_refused(
    lvunet: Lvunet, original: Path, grey: Path, tmp_path: Path
) -> None:
    state = torch.load(original, weights_only=True)
    kernel = state["firstconv.0.weight"]
    torch.save({**state, "firstconv.0.weight": torch.cat([kernel, kernel[:, :1]], dim=1)}, tmp_path / "four.pth")
    four, ours = tmp_path / "four.pth", tmp_path / "ours.safetensors"
    for source, how, reason in (
        (grey, "original", "import it with --pixels ours"),
        (four, "original", "takes 4 channels"),
        (four, "ours", "takes 4 channels"),
    ):
        code, _, complaint = lvunet("weights", "import", source, "-o", ours, "--pixels", how)
        assert (code, reason in " ".join(complaint.split())) == (2, True)
    assert not ours.exists()


class Bomb:
    """Unpickled, it would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_what_cannot_be_imported_is_refused_with_the_reason_and_nothing_is_written(
    lvunet: Lvunet, original: Path, tmp_path: Path
) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, tmp_path / "evil.pth")
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no checkpoint")
    ours = tmp_path / "ours.safetensors"
    for source, reason in (
        ("evil.pth", "could run code"),
        ("other.pth", "not a state dict of the original LV-UNet"),
        ("text.pth", "text.pth"),
        ("none.pth", "no file at"),
    ):
        code, _, complaint = lvunet("weights", "import", tmp_path / source, "-o", ours)
        assert code == 2
        assert reason in complaint
    code, _, complaint = lvunet("weights", "import", original, "-o", ours, "--slope", 1.5)
    assert (code, "between 0 and 1" in complaint) == (2, True)
    assert not ours.exists()
    assert not (tmp_path / "ran").exists()


def test_an_import_overwrites_nothing_and_wants_a_name_that_tells_the_kind(
    lvunet: Lvunet, original: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there.safetensors"
    there.write_text("mine")
    code, _, complaint = lvunet("weights", "import", original, "-o", there)
    assert (code, "exists already" in complaint, there.read_text()) == (2, True, "mine")
    code, _, complaint = lvunet("weights", "import", original, "-o", tmp_path / "ours.pth")
    assert (code, "does not end in .safetensors" in complaint) == (2, True)


@pytest.mark.parametrize("name", MODELS)
def test_the_card_of_a_model_has_its_hash_its_terms_and_its_scores_and_the_index_leads_to_it(name: str) -> None:
    model, card = MODELS[name], (ZOO / f"{name}.md").read_text(encoding="utf-8")
    assert model.sha256 in card
    assert model.weights_terms in card
    assert "Not a medical device" in card
    for each in model.scores:
        assert re.search(
            rf"\| {each.n} \| \d+ of \d+ \| {each.dice:.3f} \({each.low:.3f} to {each.high:.3f}\) \|", card
        )
    assert (ZOO / f"{name}.onnx").stat().st_size < 2_500_000
    outlines = (ZOO / f"{name}.svg").read_text(encoding="utf-8")
    assert "<image" not in outlines, "outlines only: not a pixel of the data may be in the package"
    assert f"({name}.md)" in (ZOO / "README.md").read_text(encoding="utf-8")
