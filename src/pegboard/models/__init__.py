"""The networks: their names, their weights, how they are built and described.

``registry``, ``weights`` and ``layer_row`` (names, input sizes, weight files) never import torch,
so the command line can list and refuse models without it; ``nets``, ``backbones``, ``build``,
``layers`` and ``onnx_export`` do.
"""
