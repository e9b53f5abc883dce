"""Measures how fast models are."""

from lvunet.evaluate.latency import Latency, measure, record

__all__ = ["Latency", "measure", "record"]
