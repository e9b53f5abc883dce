"""results/web_speed.py: what is published of the times that were taken."""

import pytest
from results.web_speed import summary


def test_frames_a_second_are_those_of_the_median_time() -> None:
    made = summary("Chromium", 2, [40.0] * 6 + [50.0] * 5 + [400.0] * 10)
    assert made["median_ms"] == 50
    assert made["fps"] == pytest.approx(20)
    assert (made["p10_ms"], made["p90_ms"]) == (40, 400)
    assert (made["name"], made["threads"]) == ("Chromium", 2)
