"""The networks: their names, their weights, how they are built and described.

``registry`` and ``weights`` (names, input sizes, weight files) never import torch, so the
command line can list and refuse models without it; ``nets``, ``backbones``, ``build``,
``layers`` and ``onnx_export`` do.
"""
