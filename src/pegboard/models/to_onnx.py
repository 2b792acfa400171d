"""Turn a backbone into ONNX: the entry of the child process that ``pegboard.embed`` starts.

Run as ``python -P -m pegboard.models.to_onnx REQUEST`` with a JSON object of ``weights``
(:meth:`ResolvedWeights.to_json`), ``spec`` (:meth:`InputSpec.to_json`) and ``output``, so that
torch is never loaded into the process that asks. One line on standard error tells what went wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pegboard.errors import PegboardError, require_extra
from pegboard.inputs import InputSpec
from pegboard.models.weights import ResolvedWeights


def write_backbone(weights: ResolvedWeights, spec: InputSpec, output: Path) -> None:
    """Write the backbone as ONNX: uint8 ``(N, H, W, 3)`` to float32 features ``(N, D)``.

    Raises
    ------
    PegboardError
        When an extra is missing, the weights do not fit, or the file cannot be written.
    """
    torch = require_extra("torch", "train")
    require_extra("timm", "train")
    from pegboard.models.backbones import build_backbone  # noqa: PLC0415
    from pegboard.models.onnx_export import FromPixels, export_onnx  # noqa: PLC0415

    backbone = build_backbone(weights.base, image_size=spec.height, weights=weights)
    example = torch.zeros((2, *spec.shape), dtype=torch.uint8)
    module = FromPixels(backbone, spec.mean, spec.std).eval()
    export_onnx(module, example, output, ["pixels"], ["features"])


def main(request: str) -> int:
    """Serve one request; 0, or 1 after one line on standard error."""
    data = json.loads(request)
    try:
        write_backbone(
            ResolvedWeights.from_json(data["weights"]),
            InputSpec.from_json(data["spec"]),
            Path(data["output"]),
        )
    except PegboardError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
