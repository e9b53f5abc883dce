"""Reading named tensors from a file of others, without ever running what is in it."""

import pickle
from io import BytesIO
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor

from lvunet.errors import CheckpointError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a .safetensors or .pth file: alone, under `state_dict`, or the only one under any key.

    A pickle that wants more than tensors is refused.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            return load(data)
        loaded = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no file at {path}. Give a .safetensors or .pth file.") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} holds more than tensors: reading could run code, so it was refused.") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}.") from error
    except Exception as error:  # a file of anything can raise anything in the unpickler, such as IndexError
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path} is not a readable checkpoint, .pth or .safetensors ({what}).") from error
    named = loaded if isinstance(loaded, dict) else {}
    usual = named.get("state_dict")
    within = {"state_dict": usual} if isinstance(usual, dict) else {"": named, **named}
    states = [each for each in within.values() if _is_state(each)]
    if len(states) != 1:
        keys = ", ".join(map(repr, list(usual if isinstance(usual, dict) else named)[:5]))
        has = f"; it has {keys}" if keys else ""
        raise CheckpointError(
            f"{path} is not one state dict of tensors, alone or under a key{has}. Save the one you want by itself."
        )
    return dict(states[0])


def _is_state(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(each, Tensor) for each in value.values())
