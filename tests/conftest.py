"""Fixtures that every folder of tests shares."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("LVUNET_SHARED", Path(__file__).parents[1].parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, pretrained weights and reference values (`LVUNET_SHARED`)."""
    if not (SHARED / "datasets").is_dir():
        message = f"no real data at {SHARED}; set LVUNET_SHARED"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return SHARED
