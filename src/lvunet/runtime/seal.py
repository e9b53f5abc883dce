"""The seal of an ONNX artefact: the SHA-256 of its bytes, kept among them."""

from hashlib import sha256

from lvunet.errors import ArtefactError

KEY = "lvunet_sha256"  # among the properties of the model
OPEN = "the SHA-256 of the file with these words in its place".ljust(64, ".")


def sealed(data: bytes) -> bytes:
    """Return the file with its hash in the place of `OPEN`, which it has once."""
    before, after = data.split(OPEN.encode())
    return before + sha256(data).hexdigest().encode() + after


def demand(data: bytes, seal: str | None, what: str) -> None:
    """Raise `ArtefactError` unless the seal, which the file says it has, is that of the file. It tells damage."""
    parts = data.split(seal.encode()) if seal else []
    if len(parts) != 2 or sha256(OPEN.encode().join(parts)).hexdigest() != seal:
        raise ArtefactError(
            f"{what} is not the file that was exported: edited, damaged, or of an older lvunet. Export it again, or "
            "copy it anew."
        )
