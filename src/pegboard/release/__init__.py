"""From a finished run to one file to use elsewhere: as it is, as plain ONNX, or in INT8."""

from __future__ import annotations

from pegboard.release.writing import EXPORTS, export_model

__all__ = ["EXPORTS", "export_model"]
