"""From a trained network to an artefact that provably computes the same."""

from lvunet.export.onnx import export_onnx
from lvunet.export.parity import Link, ParityReport, verify

__all__ = ["export_onnx", "verify", "ParityReport", "Link"]
