"""The ``.pegboard`` file: one model, everything needed to use it, and proof that it is whole.

A bundle is a zip of uncompressed members::

    model.onnx      the network, from fitted uint8 pixels to probabilities
    model.json      name, input specification, classes, temperature, thresholds, figures, …
    card.md         the same for people: a model card
    card.html       the card as a page
    reference.npz   a few drawn inputs and what the trained model answered to them
    answers.npz     what the trained model answered to test photos, known by their checksums
    likeness.npz    what training photos look like to the network, to tell what is unlike them
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
    tell_size,
    write_again,
    write_bundle,
)
from pegboard.bundle.card import (
    ModelCard,
    answers_in_words,
    model_card,
    share_text,
    sure_in_words,
    unknown_in_words,
)
from pegboard.bundle.card_files import to_html, to_markdown
from pegboard.bundle.info import (
    FORMAT,
    SUFFIX,
    BundleInfo,
    data_facts,
    unknown_facts,
)
from pegboard.bundle.likeness import Likeness, Sight
from pegboard.bundle.network import AT_ONCE, Network, Reference, blow_up, reference_grids
from pegboard.bundle.parity import (
    MAX_DIFFERENCE,
    MAX_LOSS,
    MIN_AGREEMENT,
    Parity,
    compare_answers,
)
from pegboard.bundle.tested import TestAnswers

__all__ = [
    "AT_ONCE",
    "FORMAT",
    "MAX_DIFFERENCE",
    "MAX_LOSS",
    "MIN_AGREEMENT",
    "SUFFIX",
    "Bundle",
    "BundleInfo",
    "DamagedBundleError",
    "Likeness",
    "ModelCard",
    "Network",
    "Parity",
    "Reference",
    "Sight",
    "TestAnswers",
    "answers_in_words",
    "blow_up",
    "compare_answers",
    "data_facts",
    "model_card",
    "read_bundle",
    "read_info",
    "reference_grids",
    "rewrite_info",
    "share_text",
    "sure_in_words",
    "tell_size",
    "to_html",
    "to_markdown",
    "unknown_facts",
    "unknown_in_words",
    "write_again",
    "write_bundle",
]
