from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pegboard.errors import BundleError
from pegboard.images import decode
from pegboard.inputs import FITS, LETTERBOX_GREY, Fit, InputSpec, fit_image, fitted

specs = st.builds(
    InputSpec,
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    fit=st.sampled_from(FITS),
    interpolation=st.sampled_from(["area", "bilinear", "bicubic"]),
)


@st.composite
def pictures(draw: st.DrawFn) -> np.ndarray:
    shape = (draw(st.integers(1, 60)), draw(st.integers(1, 60)), draw(st.sampled_from([1, 3])))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(deadline=None, max_examples=60)
@given(pictures(), specs)
def test_any_photo_fits_any_input(pixels: np.ndarray, spec: InputSpec) -> None:
    fitted = fit_image(pixels, spec)
    assert fitted.shape == spec.shape
    assert fitted.dtype == np.uint8


@pytest.mark.parametrize("width", range(1, 14))
def test_a_crop_never_leaves_the_photo_by_rounding(width: int) -> None:
    for height in range(1, 60):
        for side in range(1, 40):
            spec = InputSpec(side, 1 + (side * 7) % 13, channels=1, fit="crop")
            photo = np.zeros((height, width, 1), np.uint8)
            assert fit_image(photo, spec).shape == spec.shape


@settings(deadline=None, max_examples=40)
@given(specs)
def test_a_specification_survives_json(spec: InputSpec) -> None:
    assert InputSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_photo_of_the_right_size_is_not_touched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for fit in FITS:
        assert fit_image(pixels, InputSpec(20, 20, fit=fit)) is pixels


def test_what_each_fit_keeps() -> None:
    """A wide photo: white middle square, black left, red right."""
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    wide[:, 80:] = (255, 0, 0)
    crop = fit_image(wide, InputSpec(40, 40, fit="crop"))
    assert (crop == 255).all(), "a crop keeps the centre only"
    letterbox = fit_image(wide, InputSpec(120, 120, fit="letterbox"))
    assert (letterbox[:40] == LETTERBOX_GREY).all()
    assert (letterbox[40:80] == wide).all(), "a letterbox keeps every pixel"
    squash = fit_image(wide, InputSpec(40, 39, fit="squash"))
    assert (squash[:, 0] == 0).all()
    assert (squash[:, -1] == (255, 0, 0)).all(), "a squash keeps both ends"


def test_bilinear_shrinking_is_pillows() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(fit_image(pixels, InputSpec(20, 20, fit="squash")), expected)


@pytest.mark.parametrize(
    "change",
    [{"fit": "stretch"}, {"channels": 4}, {"height": 0}, {"colour": "blue"}, {"mean": None}],
)
def test_a_wrong_specification_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="the input specification is not valid"):
        InputSpec.from_json(InputSpec(8, 8).to_json() | change)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("side", [96, 224])
def test_a_large_jpeg_looks_the_same_at_a_fraction_of_the_work(fit: Fit, side: int) -> None:
    """What is decoded at a half to an eighth is nearly what is decoded whole and resized."""
    rng = np.random.default_rng(side)
    scene = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    photo = Image.fromarray(scene).resize((2048, 1536), Image.Resampling.BICUBIC)
    noisy = np.asarray(photo, np.float32) + rng.normal(0, 5, (1536, 2048, 3))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    data = file.getvalue()
    spec = InputSpec(side, side, 3, fit=fit)
    assert decode(data, at_least=side).size <= decode(data).size / 16
    apart = np.abs(fitted(data, spec).astype(int) - fit_image(decode(data), spec))
    assert apart.mean() < 1.5
    assert apart.max() < 32
