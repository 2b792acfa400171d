"""The ``.pegboard`` file: one model, everything needed to use it, and proof that it is whole.

A bundle is a zip of uncompressed members::

    model.onnx      the network, from fitted uint8 pixels to probabilities
    model.json      name, input specification, classes, temperature, thresholds, figures, …
    card.md         the same for people: a model card
    card.html       the card as a page
    reference.npz   a few drawn inputs and what the trained model answered to them
    checksums.json  SHA-256 of every other member

Nothing in it is pickled or executed. The same content always gives the same bytes: no dates,
a fixed order, no compression (its output differs between zlib versions, and trained weights
hardly shrink). Uncompressed members also cannot grow beyond the file's own size when read.

Checksums show damage and careless edits; they are no signature: who alters a member can alter
its checksum too.
"""

from __future__ import annotations

from pegboard.bundle.archive import (
    Bundle,
    DamagedBundleError,
    read_bundle,
    read_info,
    rewrite_info,
    write_bundle,
)
from pegboard.bundle.card import ModelCard, model_card, share_text
from pegboard.bundle.card_files import to_html, to_markdown
from pegboard.bundle.info import (
    FORMAT,
    MAX_DIFFERENCE,
    MIN_AGREEMENT,
    SUFFIX,
    BundleInfo,
    Parity,
    data_facts,
)
from pegboard.bundle.network import AT_ONCE, Network, Reference, blow_up, reference_grids
from pegboard.bundle.release import EXPORTS, export_model

__all__ = [
    "AT_ONCE",
    "EXPORTS",
    "FORMAT",
    "MAX_DIFFERENCE",
    "MIN_AGREEMENT",
    "SUFFIX",
    "Bundle",
    "BundleInfo",
    "DamagedBundleError",
    "ModelCard",
    "Network",
    "Parity",
    "Reference",
    "blow_up",
    "data_facts",
    "export_model",
    "model_card",
    "read_bundle",
    "read_info",
    "reference_grids",
    "rewrite_info",
    "share_text",
    "to_html",
    "to_markdown",
    "write_bundle",
]
