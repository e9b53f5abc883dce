"""A worker of `lvunet.export` whose conversion goes wrong: the artefact sees every image a little brighter."""

from pathlib import Path
from typing import cast

from torch import nn

from lvunet.export import worker
from lvunet.export.converters import CONVERTERS, program_file
from lvunet.export.deployed import Deployed

GREY_LEVELS = 8 / 255 / 0.25  # eight, normalised


def brighter(network: nn.Module, deployed: Deployed, path: Path) -> None:
    deployed.shift += GREY_LEVELS
    program_file(network, deployed, path)


if __name__ == "__main__":
    cast(dict[str, object], CONVERTERS)["torch"] = brighter
    worker.main()
