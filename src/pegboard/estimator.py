"""A scikit-learn classifier of pictures that trains as ``compare`` does.

It follows scikit-learn's rules for estimators, so it can be cloned, searched over, cross-
validated and put into a pipeline. It trains with PyTorch and answers without it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from pegboard.bundle import Bundle, write_again
from pegboard.errors import InputError, SourceError, require_extra
from pegboard.inputs import Fit
from pegboard.loaded import Model
from pegboard.notebook import progress_here
from pegboard.predict import Predictor
from pegboard.progress import Progress
from pegboard.recipes import RecipeName
from pegboard.settings import CompareSettings
from pegboard.sources.arrays import as_images, as_uint8
from pegboard.sources.given import Given, GivenSource, listed

Range = tuple[float, float]

DARK = 64
"""Pixels of 0 to 255 that are all darker are probably on another scale, such as 0 to 16."""


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classify pictures, the scikit-learn way.

    Parameters
    ----------
    model
        A name of ``pegboard models``: ``probe`` (logistic regression on pretrained features),
        ``efficientnet_lite0``, ``cnn``, ``lm`` …
    epochs, batch_size, learning_rate, image_size
        Replace the recipe's own.
    recipe
        ``default``, ``thorough``, ``robust`` or ``notebook``.
    image_fit
        How a picture is brought to the model's size: ``letterbox``, ``crop``, ``squash``, or
        ``auto``: chosen on validation pictures, which takes a while the first time.
    image_shape
        For rows of numbers: ``(h, w)`` or ``(h, w, 3)`` of the picture that each row is, read
        line by line. By default a row of n numbers is a grey picture of 1 x n.
    pixel_range
        What black and white are in arrays. By default uint8 and other whole numbers run from
        0 to 255, fractions from 0 to 1, and anything else is refused. ``(low, high)`` says
        so; ``"data"`` takes the least and the largest value met in :meth:`fit`, and cuts
        off what exceeds them later.
    validation_fraction
        Share of the pictures that epochs and calibration are chosen on. Equal and nearly
        equal pictures are never in both parts.
    random_state
        Of the training and of the choice of validation pictures: a number for the same model
        every time (on one machine), None for another one each time.
    device, threads
        Where to train, and with how many threads.
    weights
        ``NAME=FILE`` of pretrained weights, as for ``pegboard compare``.
    verbose
        Whether to show progress.

    Attributes
    ----------
    classes_
        ``(C,)`` labels, sorted.
    model_
        The trained :class:`~pegboard.Model`.
    history_
        Figures per epoch.
    validation_
        Indices of the pictures that were held out.
    n_features_in_
        Numbers per row, where X had two dimensions.

    Notes
    -----
    ``X`` may be a list, a pandas column or an array of file names; a list of Pillow images or of
    uint8 arrays, which may differ in size; an array ``(n, h, w)`` or ``(n, h, w, 1 or 3)``; or
    rows of numbers ``(n, features)``. Numbers are rounded to 256 levels, as pictures are.

    Classes are weighted, where a recipe does so, by how rare they are; sample weights are not
    taken.

    A pickled classifier holds its ONNX network and no PyTorch objects. As with any pickle, load
    only your own; :meth:`save` writes a ``.pegboard`` file, which anybody may load.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> classifier = ImageClassifier("nn", epochs=5, pixel_range=(0, 16))
    >>> classifier.fit(digits.images[:1000], digits.target[:1000])   # doctest: +SKIP
    >>> classifier.score(digits.images[1000:], digits.target[1000:])   # doctest: +SKIP
    0.94
    """

    def __init__(
        self,
        model: str = "probe",
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        recipe: RecipeName = "default",
        image_size: int | None = None,
        image_fit: Fit | Literal["auto"] = "letterbox",
        image_shape: tuple[int, ...] | None = None,
        pixel_range: Range | Literal["data"] | None = None,
        validation_fraction: float = 0.15,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        threads: int | None = None,
        weights: str | Sequence[str] = (),
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.recipe = recipe
        self.image_size = image_size
        self.image_fit = image_fit
        self.image_shape = image_shape
        self.pixel_range = pixel_range
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.threads = threads
        self.weights = weights
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> ImageClassifier:  # noqa: N803  (scikit-learn's name)
        """Train on pictures.

        Parameters
        ----------
        X
            N pictures; see the class.
        y
            ``(N,)`` labels: texts or whole numbers.

        Raises
        ------
        ValueError
            When pictures and labels do not fit, or fewer than two classes are given (an
            :class:`~pegboard.errors.InputError` where pegboard finds it).
        PegboardError
            When the model cannot be trained.
        """
        photos, labels = self._check(X, y)
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"y: expected at least 2 classes, found 1 class ({classes[0]!r})")
        if not 0 < self.validation_fraction <= 0.5:
            raise InputError(
                "validation_fraction: expected a share above 0 and up to .5, "
                f"got {self.validation_fraction!r}"
            )
        require_extra("torch", "train")
        from pegboard.fitting import fit_photos  # noqa: PLC0415  (loads torch)

        names = [str(label) for label in classes.tolist()]
        fitted = fit_photos(
            GivenSource(photos, [names[number] for number in numbers], name="X"),
            names,
            self._settings(),
            validation_fraction=self.validation_fraction,
            progress=progress_here() if self.verbose else Progress(),
        )
        if fitted.conflicts:
            warnings.warn(
                f"{len(fitted.conflicts)} pictures stand there under several labels, the first "
                f"is {fitted.conflicts[0]}",
                stacklevel=2,
            )
        self.classes_ = classes
        self.history_ = fitted.history
        self.validation_ = fitted.validation
        self._adopt(fitted.bundle)
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each picture, ``(N,)``."""
        best = self.predict_proba(X).argmax(axis=1)
        chosen: NDArray[Any] = self.classes_[best]
        return chosen

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return calibrated probabilities, ``(N, C)``, columns in the order of ``classes_``.

        Raises
        ------
        ValueError
            When a picture cannot be used or does not fit those of :meth:`fit`.
        """
        check_is_fitted(self)
        answers = self.model_.predict_proba(self._pictures(X, reset=False)).astype(np.float64)
        # In float32 they add up to 1 only to seven digits, which scikit-learn's metrics point out.
        normed: NDArray[np.float64] = answers / answers.sum(axis=1, keepdims=True)
        return normed

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the trained model to a ``.pegboard`` file and return its path."""
        check_is_fitted(self)
        bundle: Bundle = self._bundle
        write_again(Path(path), bundle)
        return Path(path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __getstate__(self) -> dict[str, Any]:
        # An ONNX session cannot be pickled; it is opened again from the bundle.
        return {key: value for key, value in super().__getstate__().items() if key != "model_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_bundle" in state:
            self._adopt(state["_bundle"])

    def _adopt(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.model_ = Model(Predictor(bundle, self.threads))

    def _settings(self) -> CompareSettings:
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        return CompareSettings(
            source="X",
            models=self.model,
            seed=int(seed),
            split_seed=int(seed),
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            image_size=self.image_size,
            fit=self.image_fit,
            recipe=self.recipe,
            weights=(self.weights,) if isinstance(self.weights, str) else tuple(self.weights),
            device=self.device,
            threads=self.threads,
        )

    # --- what X may be -------------------------------------------------------------------

    def _check(self, X: Any, y: Any) -> tuple[list[Given], NDArray[Any]]:  # noqa: N803
        """Return pictures and labels, as many of one as of the other."""
        if y is None:
            raise InputError(
                f"requires y to be passed, but the target y is None: {type(self).__name__} "
                "learns from labelled pictures"
            )
        photos = self._pictures(X, reset=True)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(photos, labels)
        check_classification_targets(labels)
        return photos, labels

    def _pictures(self, X: Any, *, reset: bool) -> list[Given]:  # noqa: N803
        """Return what X holds, a picture each; ``reset`` says that this is :meth:`fit`."""
        if reset:
            self._range: Range | None = None
        column = _column(X)
        if column is None:
            array = np.asarray(X) if _has_pictures(X) else X
            if getattr(array, "ndim", 2) < 3:
                array = validate_data(self, X, reset=reset, dtype="numeric")
                array = array.reshape(len(array), *self._shape_of(array.shape[1]))
            return list(_images(self._pixels([array], reset=reset)[0]))
        if not all(isinstance(item, np.ndarray) for item in column):
            return listed(column, where="X")
        pictures = [picture[None] for picture in self._pixels(column, reset=reset)]
        return [_images(picture)[0] for picture in pictures]

    def _shape_of(self, features: int) -> tuple[int, ...]:
        if self.image_shape is None:
            return 1, features
        shape = tuple(self.image_shape)
        if len(shape) not in (2, 3) or int(np.prod(shape)) != features:
            raise InputError(
                f"image_shape: expected (h, w) or (h, w, 3) of {features} numbers, got {shape}"
            )
        return shape

    def _pixels(self, arrays: Sequence[NDArray[Any]], *, reset: bool) -> list[NDArray[np.uint8]]:
        """Return arrays as uint8, black and white where :meth:`fit` met them."""
        values = np.concatenate([array.ravel() for array in arrays])
        if values.size == 0:
            raise InputError(f"X: expected at least one picture, found shape {arrays[0].shape}")
        # Not a number is neither below nor above anything, so no later comparison would tell.
        if values.dtype.kind == "f" and not np.isfinite([values.min(), values.max()]).all():
            raise InputError(
                "X: expected numbers, found NaN or infinity; fill in or leave out such pictures"
            )
        known = None if reset else self._range
        low, high = known or _range(values, self.pixel_range)
        if reset:
            self._range = low, high
        elif self.pixel_range != "data":
            _check_pixels(values, low, high, whole=self.pixel_range is None and high > 1)
        if values.dtype == np.uint8 and (low, high) == (0, 255):
            return list(arrays)
        scale = 255 / (high - low)
        return [
            np.rint((array - np.float64(low)) * scale).clip(0, 255).astype(np.uint8)
            for array in arrays
        ]


def _images(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pictures as networks take them; InputError for an array of another shape."""
    try:
        return as_images(pixels, where="X")
    except SourceError as error:
        raise InputError(str(error)) from error


def _range(values: NDArray[Any], wanted: Range | Literal["data"] | None) -> Range:
    """Return which values are black and white.

    Raises
    ------
    InputError
        When it was not said and the values do not tell.
    """
    if wanted == "data":
        low, high = float(values.min()), float(values.max())
        return low, high if high > low else low + 1
    if wanted is not None:
        low, high = (float(end) for end in wanted)
        if not low < high:
            raise InputError(f"pixel_range: expected (low, high), got {wanted!r}")
        _check_pixels(values, low, high)
        return low, high
    try:
        as_uint8(values, where="X")
    except SourceError as error:
        raise InputError(f"{error}, or say what black and white are: pixel_range") from error
    if values.dtype.kind == "b" or (values.dtype.kind == "f" and values.max() <= 1):
        return 0.0, 1.0
    if values.dtype != np.uint8 and values.max() < DARK:
        warnings.warn(
            f"the brightest pixel is {values.max():g} of 255; if that is white, say "
            f"pixel_range=(0, {values.max():g})",
            stacklevel=2,
        )
    return 0.0, 255.0


def _check_pixels(values: NDArray[Any], low: float, high: float, *, whole: bool = False) -> None:
    least, largest = values.min(), values.max()
    if least < low or largest > high:
        raise InputError(
            f"X: expected pixels from {low:g} to {high:g}, found {least:g} to {largest:g}; "
            "see pixel_range"
        )
    if whole and values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise InputError(f"X: expected whole pixels from {low:g} to {high:g}, found fractions")


_PICTURE = (str, os.PathLike, bytes, Image.Image)


def _column(X: Any) -> Any:  # noqa: N803
    """Return names, images or arrays of pictures as one sequence; None for a block of numbers."""
    if hasattr(X, "dtypes") and hasattr(X, "to_numpy") and getattr(X, "ndim", 0) == 2:
        X = X.to_numpy()  # noqa: N806  (a data frame)
    if isinstance(X, np.ndarray):
        if X.dtype.kind not in "OUST" or X.size == 0:
            return None
        flat = X.ravel() if X.ndim == 2 and X.shape[1] == 1 else X
        return flat if flat.ndim == 1 and _is_picture(flat[0]) else None
    if hasattr(X, "iloc") and len(X):
        return list(X) if _is_picture(X.iloc[0]) else None
    if isinstance(X, list | tuple) and len(X):
        return X if _is_picture(X[0]) else None
    return None


def _is_picture(item: Any) -> bool:
    return isinstance(item, _PICTURE) or (isinstance(item, np.ndarray) and item.ndim > 1)


def _has_pictures(X: Any) -> bool:  # noqa: N803
    """Whether X is an array, or nested lists, of three dimensions and more."""
    if isinstance(X, np.ndarray):
        return True
    return isinstance(X, list | tuple) and bool(X) and np.ndim(X[0]) > 1
