from __future__ import annotations

from dataclasses import replace

import pytest

from pegboard.inputs import InputSpec
from pegboard.models.registry import parse_model_name
from pegboard.recipes import RECIPES, Views, may_mirror, recipe_for

PHOTO = InputSpec(224, 224)
DIGIT = InputSpec(28, 28, 1)
DIGITS = [str(digit) for digit in range(10)]
TOOLS = ["hammer", "pliers", "wrench"]
NAMES = [
    *("lm", "nn", "dnn", "dnnd", "cnn", "dcnn", "cnn4", "fastcnn", "probe", "xception"),
    *("mobilenetv2:frozen", "efficientnet_lite0", "vgg16:scratch", "timm:resnet18"),
]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_every_recipe(name: str, recipe: str) -> None:
    made = recipe_for(
        parse_model_name(name), PHOTO, classes=TOOLS, training_photos=3000, recipe=recipe
    )
    assert made.name == recipe
    assert made.epochs >= 1
    assert made.batch_size >= 1


@pytest.mark.parametrize("recipe", ["default", "thorough", "robust"])
@pytest.mark.parametrize("name", [name for name in NAMES if ":" not in name])
def test_a_digit_is_never_mirrored(name: str, recipe: str) -> None:
    for spec in (DIGIT, InputSpec(96, 96, 3), InputSpec(8, 8, 1)):
        made = recipe_for(
            parse_model_name(name), spec, classes=DIGITS, training_photos=3000, recipe=recipe
        )
        assert not made.augmentation.mirror
        assert not made.views.mirror


@pytest.mark.parametrize("name", NAMES)
def test_the_thorough_recipe_trains_longer_where_there_are_epochs(name: str) -> None:
    default, thorough = (
        recipe_for(parse_model_name(name), DIGIT, classes=DIGITS, training_photos=9000, recipe=kind)
        for kind in ("default", "thorough")
    )
    if default.method == "gradient":
        assert thorough.epochs >= 2 * default.epochs
        assert thorough.average > 0
    else:
        assert replace(thorough, name="default") == default


@pytest.mark.parametrize("name", NAMES)
def test_the_robust_recipe_changes_photos_more_and_nothing_else(name: str) -> None:
    default, robust = (
        recipe_for(parse_model_name(name), PHOTO, classes=TOOLS, training_photos=3000, recipe=kind)
        for kind in ("default", "robust")
    )
    assert default.views == Views()
    assert default.augmentation.backdrop == 0
    assert bool(robust.views.count) == (robust.method == "logistic")
    pretrained = robust.method == "gradient" and parse_model_name(name).mode == "finetune"
    assert bool(robust.augmentation.backdrop) == pretrained
    same = {"name": "default", "views": Views(), "augmentation": default.augmentation}
    assert replace(robust, **same) == default


@pytest.mark.parametrize(
    ("classes", "spec", "allowed"),
    [
        (TOOLS, PHOTO, True),
        (DIGITS, PHOTO, False),
        (["left shoe", "right shoe"], PHOTO, False),
        (TOOLS, DIGIT, False),
        (["upright", "brightest"], PHOTO, True),
    ],
)
def test_when_a_mirror_image_shows_the_same(
    classes: list[str], spec: InputSpec, allowed: bool
) -> None:
    assert may_mirror(classes, spec) is allowed


def test_the_notebooks_recipes_are_those_of_the_notebooks() -> None:
    def made(name: str) -> object:
        return recipe_for(
            parse_model_name(name), PHOTO, classes=TOOLS, training_photos=4000, recipe="notebook"
        )

    digits = made("dcnn")
    assert (digits.batch_size, digits.epochs, digits.keep) == (32, 20, "last")
    assert digits.phases[0].learning_rate == 1e-3
    assert not digits.augmentation.moves
    cnn4 = made("cnn4")
    assert (cnn4.epochs, cnn4.phases[0].patience, cnn4.phases[0].watch) == (200, 10, "loss")
    assert (cnn4.augmentation.rotate, cnn4.augmentation.shift) == (30, 0.2)
    frozen, tuned = made("mobilenetv2:finetune").phases
    assert (frozen.trains, frozen.learning_rate, frozen.epochs) == ("head", 5e-4, 100)
    assert (tuned.trains, tuned.learning_rate, tuned.patience) == ("all", 1e-3, 2)
    assert made("vgg16:finetune").phases[1].patience == 5
