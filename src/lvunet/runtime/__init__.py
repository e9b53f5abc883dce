"""Running a model: any backend, one seam, without PyTorch."""

from lvunet.runtime.batch import FileResult, segment_files
from lvunet.runtime.segmenter import Segmentation, Segmenter, load

__all__ = ["load", "Segmenter", "Segmentation", "segment_files", "FileResult"]
