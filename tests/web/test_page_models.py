"""What the built page tells of its models is what their cards tell."""

import json
import re
from pathlib import Path

import pytest

from lvunet.runtime.zoo import ZOO, bundled


@pytest.mark.parametrize("name", ["skin", "polyp", "breast-ultrasound"])
def test_scores_limits_and_false_alarms_of_a_model_are_those_of_its_card(page: Path, name: str) -> None:
    told = json.loads((page / "models" / f"{name}.json").read_text())
    card = (ZOO / f"{name}.md").read_text(encoding="utf-8")
    assert len(told["scores"]) == len(bundled()[name].scores)
    for score in told["scores"]:
        interval = f"{score['dice']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
        assert re.search(
            rf"\| {score['dataset']}, {score['split']} \| {score['n']} \| \d+ of \d+ \| {re.escape(interval)} \|", card
        )
        normals = re.search(r"\| of these: normals \| (\d+) \| \|", card)
        alarms = re.search(rf"{score['dataset']}, .* (\d+) with a find where there is nothing", card)
        assert alarms
        expected = {"n": int(normals[1]), "false_alarms": int(alarms[1])} if normals else None
        assert score["normals"] == expected
    assert told["limits"]
    assert all(f"- {limit}\n" in card for limit in told["limits"])
