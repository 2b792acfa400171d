"""How each family of models is trained: every number of a recipe in one place.

``default`` recipes were chosen by measuring on validation (docs/models.md says how);
``thorough`` ones take several times as long, for the last tenths of a point; ``notebook``
recipes repeat the two reference notebooks, mistakes included, so that their
figures can be reproduced next to ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pegboard.inputs import InputSpec
from pegboard.models.registry import BACKBONES, ModelName

RecipeName = Literal["default", "thorough", "robust", "notebook"]
RECIPES: tuple[RecipeName, ...] = ("default", "thorough", "robust", "notebook")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training photo, each drawn anew for every photo and epoch.

    Attributes
    ----------
    shift
        Largest shift, as a fraction of the side.
    rotate
        Largest rotation in degrees.
    shear
        Largest shear as a tangent (Keras' ``shear_range`` in degrees is nearly none: its
        0.2 is 0.2 degrees, tangent 0.0035).
    scale
        Range of the magnification: 1.25 shows 1/1.25 of each side.
    mirror
        Whether left and right are swapped in half of the photos.
    light, contrast, colour
        Largest relative change of brightness, contrast and saturation.
    erase
        Probability that one random rectangle is painted over (Zhong et al. 2020,
        arXiv:1708.04896).
    stretch
        Largest change of the ratio of the sides.
    cast
        Standard deviation of the logarithm of each colour channel's gain: white balance.
    even
        Probability that what lies beyond the photo is one colour: its border's, white or grey.
        Else the photo goes on there, mirrored.
    backdrop
        Probability that the background is replaced, where the object can be told from it.
    """

    shift: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    mirror: bool = False
    light: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0
    erase: float = 0.0
    stretch: float = 1.0
    cast: float = 0.0
    even: float = 0.0
    backdrop: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the geometry changes at all."""
        return bool(
            self.shift or self.rotate or self.shear or self.mirror
            or self.scale != (1.0, 1.0) or self.stretch != 1.0
        )  # fmt: skip

    @property
    def only_shifts(self) -> bool:
        """Whether shifting is the only change of geometry."""
        return bool(self.shift) and not replace(self, shift=0.0).moves


@dataclass(frozen=True)
class Views:
    """Further views of every training photo, from whose features a probe learns (``views.view``).

    Attributes
    ----------
    count
        Views for each photo, besides the photo itself; 0: none.
    weight
        How much a view counts beside the photo itself.
    replace
        Probability that the background is replaced, where the object can be told from it.
    shift, rotate, scale, mirror
        As in :class:`Augmentation`.
    stretch
        Largest change of the ratio of the sides.
    cast
        Standard deviation of the logarithm of each colour channel's gain: white balance.
    light, contrast, colour
        Largest relative change of brightness, contrast and saturation.
    """

    count: int = 0
    weight: float = 1.0
    replace: float = 0.0
    shift: float = 0.0
    rotate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    stretch: float = 1.0
    mirror: bool = False
    cast: float = 0.0
    light: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0


@dataclass(frozen=True)
class AnswerView:
    """A further view of a photo from which a trained model answers (``answer_views``).

    Attributes
    ----------
    mirror
        Whether left and right are swapped.
    zoom
        Magnification, 1 or more: 1.25 shows the middle 1/1.25 of each side.
    """

    mirror: bool = False
    zoom: float = 1.0


@dataclass(frozen=True)
class Phase:
    """One stretch of training with fixed settings.

    Attributes
    ----------
    trains
        ``all`` weights, the ``head`` only, or all but the early stages (``late``).
    epochs, patience
        At most ``epochs``; stop when the watched figure has not improved for ``patience``
        epochs (None: never stop early).
    watch
        The validation figure that early stopping looks at.
    learning_rate
        Peak rate (one-cycle) or constant rate; of the head. The backbone's is
        ``backbone_rate`` times that.
    small_share, small_scale
        In this share of the epochs, the first ones, photos are shrunk to this part of their
        side: coarse things are learnt as well there, in less time (Howard 2018; Tan and Le
        2021, arXiv:2104.00298).
    schedule
        ``one-cycle``: linear warm-up over the first tenth, then a cosine to zero (Smith and
        Topin 2018, arXiv:1708.07120, without the momentum cycle); ``constant``.
    """

    trains: Literal["all", "head", "late"] = "all"
    epochs: int = 10
    patience: int | None = None
    watch: Literal["macro_f1", "loss"] = "macro_f1"
    learning_rate: float = 1e-3
    backbone_rate: float = 1.0
    small_share: float = 0.0
    small_scale: float = 1.0
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    optimizer: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how one model is trained.

    Attributes
    ----------
    method
        ``gradient``: by batches over photos; ``features``: a head by batches over features
        computed once; ``logistic``: scikit-learn's logistic regression on those features.
    warm_head
        Start the head from the logistic regression on the backbone's features, so that
        fine-tuning does not first destroy what the backbone knows.
    keep
        Weights of the ``best`` epoch on validation, or of the ``last``.
    class_weights
        Weight the loss by inverse class frequency, capped (``split.class_weights``).
    cutmix
        Share of the batches in which a part of each photo is replaced by another photo
        (``augment.cutmix``).
    average
        What remains of the moving average of the weights after a step
        (``averaging.update_average``); 0: the weights themselves answer.
    low_precision
        Allow bf16 or fp16 autocast where the machine is faster with it.
    views
        Further views of the training photos, for ``logistic``.
    answer_views
        Further views of a photo, over which and the photo itself an answer is averaged.
    """

    name: RecipeName
    method: Literal["gradient", "features", "logistic"]
    phases: tuple[Phase, ...]
    batch_size: int = 64
    augmentation: Augmentation = Augmentation()
    label_smoothing: float = 0.0
    keep: Literal["best", "last"] = "best"
    class_weights: bool = True
    warm_head: bool = False
    cutmix: float = 0.0
    average: float = 0.0
    low_precision: bool = True
    views: Views = Views()
    answer_views: tuple[AnswerView, ...] = ()

    @property
    def epochs(self) -> int:
        """At most this many epochs, all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


DIGIT_SHIFT = Augmentation(shift=2 / 28)
"""Two pixels of 28: what MNIST's own centring leaves undecided. Never mirrored."""

DIGIT_MOVES = Augmentation(shift=2 / 28, rotate=10, shear=0.1, scale=(0.9, 1.1))
"""For many epochs: what handwriting leaves undecided besides."""

PHOTO_LIGHT = Augmentation(
    shift=0.1, rotate=15, scale=(0.9, 1.4), mirror=True, light=0.2, contrast=0.2, colour=0.2
)

PHOTO_STRONG = Augmentation(
    shift=0.1, rotate=20, scale=(0.8, 1.6), mirror=True,
    light=0.3, contrast=0.3, colour=0.3, erase=0.3,
)  # fmt: skip
"""For pretrained backbones, which learn a few thousand photos by heart within three epochs."""

BEYOND = (0.6, 0.2, 0.2)
"""How often an even colour beyond a photo is its border's, white, or a letterbox's grey."""

PHOTO_ELSEWHERE = replace(
    PHOTO_STRONG, scale=(0.45, 1.7), stretch=1.5, cast=0.12, even=0.7, backdrop=0.5, colour=0.4
)
"""For pretrained backbones whose photos others take elsewhere."""

ELSEWHERE = Views(
    count=2, weight=0.2, replace=0.7, shift=0.1, rotate=20, scale=(0.5, 1.5), stretch=1.5,
    mirror=True,
    cast=0.12, light=0.3, contrast=0.3, colour=0.4,
)  # fmt: skip
"""What may differ in photos of the same things that others took."""

PHOTO_NEARER = 8 / 7
"""Magnification of the second view of a photo (docs/models.md says what it brings)."""

_DENSE = Phase(epochs=20, learning_rate=2e-3, weight_decay=1e-4)
_CONV = Phase(epochs=6, learning_rate=2e-3, weight_decay=1e-4)

_DEFAULT_NETS: dict[str, tuple[Phase, int, bool]] = {
    # phases, batch size, whether augmented
    "lm": (replace(_DENSE, epochs=12), 128, False),
    "nn": (_DENSE, 128, True),
    "dnn": (_DENSE, 128, True),
    "dnnd": (_DENSE, 128, True),
    "cnn": (_CONV, 128, True),
    "dcnn": (_CONV, 128, True),
    "fastcnn": (Phase(epochs=3, learning_rate=1.2e-2, weight_decay=1e-3), 256, True),
    "cnn4": (Phase(epochs=16, patience=6, learning_rate=1e-3, weight_decay=1e-3), 64, True),
}

THOROUGH_EPOCHS = {"fastcnn": 12, "efficientnet_lite0": 2, "efficientnet_lite2": 2}
"""How many times the default recipe's epochs the thorough one takes, where it was tried out."""
THOROUGH_OTHERS = 3
"""The same for all other models."""

SMALL_SET = 6000
"""Training photos below which the nets see each photo more often, so that they converge."""

FAST_SEEN, FAST_EPOCHS = 150_000, (3, 24)
"""``fastcnn`` sees about so many photos, each this often: at the least, at the most."""


def recipe_for(
    name: ModelName,
    spec: InputSpec,
    *,
    classes: Sequence[str],
    training_photos: int,
    recipe: RecipeName = "default",
) -> Recipe:
    """Return the recipe of a model for this data."""
    if recipe == "notebook":
        return _notebook(name)
    made = _default(name, spec, classes, training_photos)
    if recipe == "robust":
        return _robust(made, name, classes, spec)
    return _thorough(made, name) if recipe == "thorough" else made


def _default(
    name: ModelName, spec: InputSpec, classes: Sequence[str], training_photos: int
) -> Recipe:
    if name.mode == "probe":
        return Recipe("default", "logistic", (Phase(epochs=1),))
    if name.mode == "frozen":
        phase = Phase(trains="head", epochs=40, patience=8, learning_rate=2e-3, weight_decay=1e-3)
        return Recipe("default", "features", (phase,), batch_size=64, label_smoothing=0.05)
    if name.mode == "net":
        return _default_net(name, spec, classes, training_photos)
    return _default_backbone(name, spec, classes)


def _thorough(made: Recipe, name: ModelName) -> Recipe:
    """Return a recipe with more epochs, photos changed more and weights averaged for them.

    Its models answer from several views, of the kinds that they were trained to see through.
    """
    if made.method != "gradient":
        return replace(made, name="thorough")
    times = THOROUGH_EPOCHS.get(name.base, THOROUGH_OTHERS)
    phases = tuple(replace(phase, epochs=phase.epochs * times) for phase in made.phases)
    moves = DIGIT_MOVES if made.augmentation.only_shifts else made.augmentation
    return replace(
        made, name="thorough", phases=phases, augmentation=moves, average=made.average or 0.99,
        answer_views=_answer_views(made.augmentation),
    )  # fmt: skip


def _answer_views(augmentation: Augmentation) -> tuple[AnswerView, ...]:
    if augmentation.only_shifts or not augmentation.moves:
        return ()
    return (AnswerView(mirror=augmentation.mirror, zoom=PHOTO_NEARER),)


def _robust(made: Recipe, name: ModelName, classes: Sequence[str], spec: InputSpec) -> Recipe:
    """Return a recipe for photos that others take elsewhere.

    A probe learns from views, too; a fine-tuned backbone from photos that are changed more.
    """
    made = replace(made, name="robust")
    mirror = may_mirror(classes, spec)
    if made.method == "logistic":
        return replace(made, views=replace(ELSEWHERE, mirror=mirror))
    if made.method == "gradient" and name.mode == "finetune":
        return replace(made, augmentation=replace(PHOTO_ELSEWHERE, mirror=mirror))
    return made


def may_mirror(classes: Sequence[str], spec: InputSpec) -> bool:
    """Whether a photo and its mirror image show the same class.

    Not for characters (single-letter or single-digit class names), for classes that name a
    side, nor for small grey pictures, which mostly are characters.
    """
    sided = any(word in name.lower().split() for name in classes for word in ("left", "right"))
    characters = all(len(name) == 1 for name in classes)
    small_grey = spec.channels == 1 and max(spec.height, spec.width) <= 64
    return not (sided or characters or small_grey)


def _augmentation(classes: Sequence[str], spec: InputSpec) -> Augmentation:
    if may_mirror(classes, spec):
        return PHOTO_LIGHT
    if max(spec.height, spec.width) <= 64:
        return replace(DIGIT_SHIFT, shift=2 / 28)
    return replace(PHOTO_LIGHT, mirror=False)


def _default_net(
    name: ModelName, spec: InputSpec, classes: Sequence[str], training_photos: int
) -> Recipe:
    phase, batch_size, augmented = _DEFAULT_NETS[name.base]
    if name.base == "fastcnn":
        often = round(FAST_SEEN / max(training_photos, 1))
        phase = replace(phase, epochs=min(max(often, FAST_EPOCHS[0]), FAST_EPOCHS[1]))
    if training_photos < SMALL_SET and name.base != "cnn4":
        batch_size = min(batch_size, 32)
        if name.base != "fastcnn":
            phase = replace(phase, epochs=phase.epochs * 3, patience=None)
    return Recipe(
        "default",
        "gradient",
        (phase,),
        batch_size=batch_size,
        augmentation=_augmentation(classes, spec) if augmented else Augmentation(),
        label_smoothing=0.05 if name.base in ("fastcnn", "cnn4") else 0.0,
        low_precision=name.base not in ("lm", "nn", "dnn", "dnnd"),
    )


def _default_backbone(name: ModelName, spec: InputSpec, classes: Sequence[str]) -> Recipe:
    augmentation = replace(PHOTO_STRONG, mirror=may_mirror(classes, spec))
    if name.mode == "scratch":
        phase = Phase(epochs=60, patience=15, learning_rate=2e-3, weight_decay=2e-2)
        return Recipe(
            "default", "gradient", (phase,), augmentation=augmentation, label_smoothing=0.1
        )
    # timm has networks that take one size only.
    small_share = 0.5 if name.base in BACKBONES else 0.0
    phase = Phase(
        trains="late", epochs=10, patience=4, learning_rate=2e-3, backbone_rate=0.75,
        small_share=small_share, small_scale=2 / 3, weight_decay=2e-2,
    )  # fmt: skip
    return Recipe(
        "default",
        "gradient",
        (phase,),
        augmentation=augmentation,
        label_smoothing=0.1,
        warm_head=True,
        cutmix=0.4,
        average=0.98,
    )


_NOTEBOOK_TOOLS = Augmentation(
    shift=0.2, rotate=30, shear=0.2 * 3.14159 / 180, scale=(1 / 1.2, 1 / 0.8), mirror=True
)
_NOTEBOOK_FROZEN = {"mobilenetv2": (5e-4, 100), "xception": (1e-3, 30), "vgg16": (1e-3, 30)}
_NOTEBOOK_TUNED = {
    # learning rate, epochs, patience; MobileNetV2's rate is the one that collapsed there
    "mobilenetv2": (1e-3, 20, 2),
    "xception": (1e-5, 20, 2),
    "vgg16": (1e-5, 100, 5),
}


def _notebook(name: ModelName) -> Recipe:
    common = Phase(
        watch="loss", schedule="constant", optimizer="adam", learning_rate=1e-3, epochs=20
    )
    as_written = Recipe(
        "notebook",
        "gradient",
        (common,),
        batch_size=32,
        keep="last",
        class_weights=False,
        low_precision=False,
    )
    if name.mode == "probe":
        return replace(as_written, method="logistic", phases=(Phase(epochs=1),))
    if name.mode == "net" and name.base != "cnn4":
        return as_written
    tools = replace(as_written, augmentation=_NOTEBOOK_TOOLS)
    if name.mode in ("net", "scratch"):
        return replace(tools, phases=(replace(common, epochs=200, patience=10),))
    rate, epochs = _NOTEBOOK_FROZEN.get(name.base, (1e-3, 30))
    frozen = replace(common, trains="head", epochs=epochs, patience=5, learning_rate=rate)
    if name.mode == "frozen":
        return replace(tools, phases=(frozen,))
    rate, epochs, patience = _NOTEBOOK_TUNED.get(name.base, (1e-5, 20, 2))
    tuned = replace(common, epochs=epochs, patience=patience, learning_rate=rate)
    return replace(tools, phases=(frozen, tuned))
