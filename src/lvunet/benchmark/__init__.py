"""Measures how fast models are."""

from lvunet.benchmark.latency import Latency, measure, record

__all__ = ["Latency", "measure", "record"]
