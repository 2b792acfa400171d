"""Small pictures of training photos in a bundle, to show those most like a photo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pegboard.bundle import Bundle, Network
from pegboard.bundle.likeness import Neighbours, principal_axes, shortened
from pegboard.errors import BundleError, SourceError, UnusableImage
from pegboard.pictures import thumbnail
from pegboard.progress import Progress
from pegboard.release.reopened import Reopened
from pegboard.threads import default_threads

MOST = 2000
"""Training photos that are kept: some 5 MB."""

AXES = 64
"""Numbers kept of each photo."""


def with_neighbours(opened: Reopened, progress: Progress) -> Bundle:
    """Return the bundle with training photos to compare with.

    The pictures are made anew from pixels: nothing that a photo's file says about where and
    when it was taken travels with them.

    Raises
    ------
    BundleError
        When the model has no features to compare photos by.
    SourceError
        When a photo is not there any more.
    """
    bundle, info = opened.bundle, opened.bundle.info
    chosen = opened.some("train", MOST)
    network = Network(bundle.model, info.input, len(info.classes))
    features = opened.answered(network, chosen).features
    if bundle.likeness is None or features is None:
        raise BundleError(
            f"{info.name} was made by an earlier pegboard and has no features to compare photos "
            "by; compare again"
        )
    progress.message(f"pictures of {len(chosen)} training photos go into the file")
    mean = bundle.likeness.mean
    axes = principal_axes(features, mean, AXES)
    vectors = shortened(features - mean, axes)
    with ThreadPoolExecutor(default_threads()) as pool:
        pictures = tuple(pool.map(lambda index: _picture(opened, int(index)), chosen))
    near = Neighbours(
        axes=axes,
        vectors=vectors.astype("float16"),
        labels=opened.labels[chosen],
        paths=tuple(opened.photos.rows[index].path for index in chosen),
        pictures=pictures,
    )
    return replace(bundle, likeness=replace(bundle.likeness, neighbours=near))


def _picture(opened: Reopened, index: int) -> bytes:
    try:
        return thumbnail(opened.photos.payload(index))
    except UnusableImage as error:
        raise SourceError(
            f"{opened.photos.rows[index].path} was a usable photo and is not any more ({error}); "
            "put it back or start a new run"
        ) from error
