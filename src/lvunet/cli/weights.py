"""`lvunet weights`: list and verify the models of the package, import a checkpoint of the original authors."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from lvunet.errors import ArtefactError, ConfigError, OutputError, did_you_mean
from lvunet.screen import complain, say

app = App(name="weights", help="Trained models: list and verify those of the package, import the original authors'.")
Output = Annotated[Path, Parameter(name=["--output", "-o"])]


@app.command(name="list")
def list_models() -> None:
    """List the models of the package: what each outlines, what it was trained on, its test score, its terms."""
    from lvunet.runtime.zoo import ZOO, bundled

    for model in bundled().values():
        say(model.name)
        facts = [
            ("outlines", model.outlines),
            ("trained on", model.trained_on),
            *(("test Dice", str(score)) for score in model.scores),
            ("size", f"{(ZOO / f'{model.name}.onnx').stat().st_size / 1e6:.2f} MB"),
            ("SHA-256", f"{model.sha256[:12]}..."),
            *(("terms of the data", terms) for terms in model.data_terms),
            ("terms of the weights", model.weights_terms),
        ]
        for fact, value in facts:
            say(f"  {fact:<22}{value}")
    say(f"Use one by its name: lvunet segment photo.jpg -m NAME -o masks/. Cards: {ZOO}")


@app.command
def verify(*models: str) -> int:
    """Prove that models of the package are what was published and run on this machine; exit code 1 if one does not.

    Each must have the committed SHA-256, name its source inside, and segment a phantom.

    Args:
        models: Names; default: all.
    """
    from lvunet.data.phantom import phantom
    from lvunet.runtime.zoo import bundled, prove

    known = bundled()
    if unknown := [name for name in models if name not in known]:
        raise ConfigError(f"no model {unknown[0]!r} in the package." + did_you_mean(unknown[0], known))
    image, _ = phantom("polyp", 0)
    failed = 0
    for model in (known[name] for name in models or known):
        try:
            prove(model, image)
            say(f"{model.name}: ok, {model.sha256[:12]}...")
        except ArtefactError as error:
            failed += 1
            complain(f"{model.name}: failed. {error}")
    return int(failed > 0)


@app.command(name="import")
def import_original_checkpoint(
    checkpoint: Path,
    /,
    *,
    output: Output,
    slope: float = 1.0,
    name: str | None = None,
    pixels: Literal["original", "ours"] = "original",
) -> None:
    """Turn a checkpoint of the original authors' code into one of ours, to evaluate, to export, or to go on training.

    Args:
        checkpoint: Their .pth (tensors only: one that wants to run code is refused), or the same as .safetensors.
        output: The .safetensors to write; nothing is overwritten.
        slope: Of deep training, which their file lacks: 1 for a run that ended it, 0 for a plain one (not foldable).
        name: What the model calls itself; default: the name of the file that is written.
        pixels: What it was trained on: as their code has it (BGR, normalised twice), or RGB, normalised once. A network
            of one channel takes "ours" alone: grey, normalised once, by the mean of the values for RGB.
    """
    if output.suffix != ".safetensors" or output.exists():
        reason = "it exists already" if output.exists() else "its name does not end in .safetensors"
        raise OutputError(f"-o {output}: {reason}. Give another name.")
    from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, Card
    from lvunet.model import import_original, save_checkpoint
    from lvunet.model.original import fed_as_by_the_authors

    network = import_original(checkpoint)
    if network.in_channels not in (1, 3):
        raise ConfigError(
            f"{checkpoint} takes {network.in_channels} channels, and does not say how they were normalised. Import one "
            "of 1 (grey) or 3 channels (RGB)."
        )
    grey = network.in_channels == 1
    network.set_slope(slope)
    several = tuple(f"class {label}" for label in range(1, network.classes))
    card = Card(
        name=name or output.stem,
        classes=network.classes,
        class_names=("background", *several) if several else ("foreground",),
        in_channels=network.in_channels,
        mean=(sum(IMAGENET_MEAN) / 3,) if grey else IMAGENET_MEAN,
        std=(sum(IMAGENET_STD) / 3,) if grey else IMAGENET_STD,
        licence="that of the imported checkpoint",
        training={"imported": checkpoint.name},
    )
    save_checkpoint(output, *(fed_as_by_the_authors(network, card) if pixels == "original" else (network, card)))
    say(f"{card.classes} {'class' if card.classes == 1 else 'classes'}, slope {slope:g}: {output}")
