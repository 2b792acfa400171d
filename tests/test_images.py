from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from pegboard.errors import UnusableImage
from pegboard.images import (
    SIGNATURE_SIZE,
    array_sha256,
    decode,
    pixel_hash,
    signature,
    to_pixels,
)

REASONS = {"not-an-image", "truncated", "empty", "unsupported", "too-large", "unreadable"}


def gradient(height: int = 70, width: int = 90) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 3 % 256, x * 2 % 256, (x + y) % 256], axis=2).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RGB = Image.fromarray(gradient())
GREY = RGB.convert("L")
JPEG = encoded(RGB, "JPEG")
PNG = encoded(RGB, "PNG")


def reason_of(data: bytes, **options: int) -> tuple[str, str]:
    with pytest.raises(UnusableImage) as caught:
        decode(data, **options)
    return caught.value.reason, caught.value.detail


# --- Formats and modes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("WEBP", {"lossless": True}),
        ("PPM", {}),
    ],
)
@pytest.mark.parametrize("image", [RGB, GREY], ids=["rgb", "grey"])
def test_lossless_formats_give_the_pixels_that_were_saved(kind, options, image):
    pixels = decode(encoded(image, kind, **options))
    expected = np.asarray(image)
    if kind == "WEBP":  # knows no grey
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(pixels.squeeze(), expected)
    assert pixels.ndim == 3
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_equals_pillows_full_decode(options):
    data = encoded(RGB, "JPEG", **options)
    assert np.array_equal(decode(data), np.asarray(Image.open(BytesIO(data))))


def test_grey_jpeg_has_one_channel():
    assert decode(encoded(GREY, "JPEG")).shape == (70, 90, 1)


def test_avif_photo_is_close_to_the_original():
    pytest.importorskip("PIL._avif")
    pixels = decode(encoded(RGB, "AVIF", quality=95))
    assert np.abs(pixels.astype(int) - gradient()).mean() < 6


def test_heic_photo_is_close_to_the_original_and_its_exif_turn_is_not_applied_twice():
    heif = pytest.importorskip("pillow_heif")
    buffer = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    heif.from_pillow(RGB).save(buffer, quality=95, exif=exif.tobytes())
    pixels = decode(buffer.getvalue())
    upright = np.asarray(RGB)
    turned = np.rot90(upright, -1)
    expected = turned if pixels.shape == turned.shape else upright
    viewed = np.asarray(ImageOps.exif_transpose(heif.open_heif(buffer).to_pillow()))
    assert np.array_equal(pixels, viewed)
    assert np.abs(pixels.astype(int) - expected).mean() < 6


def test_heic_without_its_reader_names_the_install_line(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    buffer = BytesIO()
    heif.from_pillow(RGB).save(buffer)
    (tmp_path / "photo.heic").write_bytes(buffer.getvalue())
    # An interpreter in which the import fails is what an install without the extra is.
    program = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from pegboard.images import decode; from pegboard.errors import UnusableImage\n"
        "try: decode(open(sys.argv[1], 'rb').read())\n"
        "except UnusableImage as error: print(error.reason, error.detail)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "photo.heic")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.startswith("unsupported"), told.stderr
    assert "pip install 'pegboard[heif]'" in told.stdout


def test_transparency_is_laid_on_white():
    rgba = RGB.convert("RGBA")
    alpha = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (70, 1))
    rgba.putalpha(Image.fromarray(alpha))
    weight = alpha[..., None] / 255.0
    expected = gradient() * weight + 255 * (1 - weight)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        pixels = decode(encoded(rgba, kind, **options))
        assert np.abs(pixels - expected).max() <= 1.01, kind


def test_grey_with_transparency_stays_grey():
    image = GREY.convert("LA")
    image.putalpha(0)
    pixels = decode(encoded(image, "PNG"))
    assert pixels.shape == (70, 90, 1)
    assert (pixels == 255).all()


def test_rgb_png_with_a_transparent_colour_is_laid_on_white():
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert decode(encoded(image, "PNG", transparency=(1, 2, 3))).tolist() == [
        [[255, 255, 255], [4, 5, 6]]
    ]


def test_grey_png_with_a_transparent_value_is_laid_on_white():
    data = encoded(Image.fromarray(np.array([[0, 100], [200, 0]], np.uint8)), "PNG", transparency=0)
    assert decode(data)[:, :, 0].tolist() == [[255, 100], [200, 255]]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_a_transparent_colour_is_laid_on_white(kind):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    pixels = decode(encoded(image, kind, transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 1].tolist() == [200, 100, 50]


def test_palette_without_transparency_becomes_rgb():
    image = RGB.quantize(16)
    assert np.array_equal(decode(encoded(image, "PNG")), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_bilevel_becomes_black_and_white_grey(kind):
    image = GREY.point(lambda value: 255 * (value > 128)).convert("1")
    assert np.array_equal(decode(encoded(image, kind))[:, :, 0], np.asarray(image) * np.uint8(255))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    cmyk = Image.new("CMYK", (80, 70), (0, 255, 255, 0))  # full magenta and yellow: red
    pixels = decode(encoded(cmyk, kind))
    assert pixels.shape == (70, 80, 3)
    assert np.abs(pixels.reshape(-1, 3).mean(axis=0) - [255, 0, 0]).max() < 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_keeps_its_upper_bits(kind):
    values = np.linspace(0, 65535, 70 * 90).astype(np.uint16).reshape(70, 90)
    pixels = decode(encoded(Image.fromarray(values), kind))
    assert np.array_equal(pixels[:, :, 0], (values >> 8).astype(np.uint8))


def png_of(samples: bytes, width: int, height: int, bits: int, colour: int) -> bytes:
    """Write a PNG by hand: Pillow cannot save 16-bit colour."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    stride = len(samples) // height
    rows = b"".join(b"\0" + samples[at * stride : (at + 1) * stride] for at in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bit_colour_and_grey_are_scaled_alike():
    values = np.linspace(0, 65535, 600).astype(">u2").reshape(20, 30)
    grey = decode(png_of(values.tobytes(), 30, 20, 16, 0))
    colour = decode(png_of(np.repeat(values, 3, axis=1).tobytes(), 30, 20, 16, 2))
    assert np.array_equal(np.repeat(grey, 3, axis=2), colour)


def test_float_pixels_are_refused_because_their_range_is_unknown():
    data = encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")
    assert reason_of(data)[0] == "unsupported"


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP", "MPO"])
def test_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (70, 70), colour) for colour in ("red", "green", "blue")]
    pixels = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert pixels.shape == (70, 70, 3)
    assert np.abs(pixels.reshape(-1, 3).mean(axis=0) - [255, 0, 0]).max() < 4


# --- Orientation -------------------------------------------------------------------------

TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.transpose(a, (1, 0, 2)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "MPO"])
def test_exif_orientation_is_applied_once(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    stored = decode(encoded(RGB, kind, **options))
    data = encoded(RGB, kind, exif=exif, **options)
    pixels = decode(data)
    assert np.array_equal(pixels, TURNS[orientation](stored))
    assert np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data)))))


def test_orientation_holds_for_reduced_decoding_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    large = RGB.resize((900, 700))
    data = encoded(large, "JPEG", exif=exif)
    assert decode(data, at_least=100).shape == (225, 175, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encoded(RGB, "JPEG", exif=exif)).shape == (70, 90, 3)


def test_a_damaged_exif_block_does_not_cost_the_photo():
    data = encoded(RGB, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    assert np.array_equal(decode(data), decode(JPEG))


# --- Reduced decoding --------------------------------------------------------------------


@pytest.mark.parametrize("at_least", [50, 224, 300, 5000])
def test_reduced_decoding_keeps_the_shorter_side(at_least):
    large = RGB.resize((1000, 750), Image.Resampling.BICUBIC)
    data = encoded(large, "JPEG")
    pixels = decode(data, at_least=at_least)
    full = decode(data)
    assert min(pixels.shape[:2]) >= min(at_least, 750)
    assert full.shape == (750, 1000, 3)
    again = Image.fromarray(full).resize(pixels.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(np.asarray(again).astype(int) - pixels).mean() < 3


def test_other_formats_ignore_the_reduction():
    assert np.array_equal(decode(PNG, at_least=8), decode(PNG))


# --- What cannot be used -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason", "word"),
    [
        (b"", "empty", "no bytes"),
        (b"just some notes about hammers\n" * 9, "not-an-image", "text"),
        ("Größenangaben, naïve\n".encode() * 300, "not-an-image", "text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not-an-image", "web page"),
        (b"\0" * 5000, "not-an-image", "zero bytes"),
        (b"PK\x03\x04" + b"\1" * 50, "not-an-image", "ZIP"),
        (b"BM looks like a bitmap but is a letter", "not-an-image", "text"),
        (bytes(range(1, 250)), "not-an-image", "no known"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported", "SVG"),
        (b"%PDF-1.7 ...", "unsupported", "PDF"),
        (b"8BPS\0\1" + b"\0" * 30, "unsupported", "Photoshop"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "unsupported", "video"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0qt  ....", "unsupported", "video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "unsupported", "camera raw"),
        (b"RIFF\x10\0\0\0AVI LIST", "unsupported", "video"),
        (b"FUJIFILMCCD-RAW 0201", "unsupported", "camera raw"),
    ],
)
def test_files_without_a_usable_image_say_what_they_are(data, reason, word):
    found = reason_of(data)
    assert found[0] == reason
    assert word in found[1]


def test_camera_raw_is_not_taken_for_its_thumbnail():
    data = encoded(RGB, "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    assert reason_of(data) == (
        "unsupported",
        "camera raw is not supported; save it as JPEG or PNG",
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_half_a_file_is_truncated(kind, options):
    data = encoded(RGB, kind, **options)
    reason, detail = reason_of(data[: len(data) // 2])
    # A TIFF keeps its directory at the end: without it nothing tells that half is missing.
    assert reason in (("truncated", "unreadable") if kind == "TIFF" else ("truncated",))
    assert "\n" not in detail


@pytest.mark.parametrize("start", [2, 3, 4, 8, 9, 16, 20])
def test_a_few_first_bytes_are_no_photo(start):
    for data in (JPEG, PNG):
        assert reason_of(data[:start])[0] in REASONS


def test_a_photo_over_the_pixel_limit_is_refused_from_its_header():
    assert reason_of(PNG, max_pixels=6299)[0] == "too-large"
    assert decode(PNG, max_pixels=6300).shape == (70, 90, 3)


def test_a_decompression_bomb_is_refused_without_decoding_it():
    bomb = png_of(b"", 60_000, 1, 8, 2).replace(
        struct.pack(">II", 60_000, 1), struct.pack(">II", 60_000, 60_000)
    )
    start = bomb.index(b"IHDR")
    check = struct.pack(">I", zlib.crc32(bomb[start : start + 17]))
    bomb = bomb[: start + 17] + check + bomb[start + 21 :]
    reason, detail = reason_of(bomb)
    assert reason == "too-large"
    assert "pixels" in detail


def test_pillows_warnings_never_reach_the_user_and_its_settings_stay():
    filters = list(warnings.filters)
    large = encoded(Image.new("1", (10_000, 9_000)), "PNG")  # Pillow warns from 89.5 megapixels
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([0] * 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(large).shape == (9_000, 10_000, 1)
        decode(encoded(palette, "PNG", transparency=b"\0\x80"))
    assert warnings.filters == filters
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_threads_decode_alike_and_leave_the_warning_filters_as_they_were():
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        hashes = set(pool.map(lambda _: pixel_hash(decode(JPEG)), range(200)))
    assert len(hashes) == 1
    assert warnings.filters == before


SAMPLES = [
    JPEG,
    encoded(RGB, "JPEG", progressive=True),
    PNG,
    encoded(RGB, "WEBP"),
    encoded(RGB, "GIF"),
    encoded(RGB, "TIFF", compression="tiff_lzw"),
    encoded(RGB, "BMP"),
]


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_damaged_photos_decode_or_raise_unusable_image_and_nothing_else(data):
    sample = data.draw(st.sampled_from(SAMPLES))
    damaged = bytearray(sample[: data.draw(st.integers(0, len(sample)))])
    for _ in range(data.draw(st.integers(0, 8))):
        if damaged:
            # Headers hold the interesting bytes, so half of the changes go there.
            last = data.draw(st.sampled_from([min(64, len(damaged)), len(damaged)])) - 1
            damaged[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    outcome = attempt(bytes(damaged))
    if isinstance(outcome, UnusableImage):
        assert outcome.reason in REASONS
        assert "\n" not in outcome.detail
    else:
        assert outcome.dtype == np.uint8
        assert outcome.ndim == 3
        assert outcome.shape[2] in (1, 3)
        assert outcome.size


def attempt(data: bytes) -> np.ndarray | UnusableImage:
    try:
        return decode(data, max_pixels=10**7)
    except UnusableImage as error:
        return error


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_decode_or_raise_unusable_image(data):
    outcome = attempt(data)
    assert isinstance(outcome, np.ndarray) or outcome.reason in REASONS


def test_a_damaged_lzw_tiff_prints_nothing(capfd):
    data = bytearray(encoded(RGB, "TIFF", compression="tiff_lzw"))
    for at in range(8, len(data) - 200, 7):
        data[at] ^= 0x5A
    with pytest.raises(UnusableImage):
        decode(bytes(data[: len(data) - 30]))
    assert capfd.readouterr() == ("", "")


# --- Arrays, hashes, signatures ----------------------------------------------------------


def test_arrays_pass_through_to_pixels():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert to_pixels(grey).shape == (8, 8, 1)
    assert np.shares_memory(to_pixels(grey), grey)
    assert to_pixels(gradient()).shape == (70, 90, 3)
    assert np.array_equal(to_pixels(PNG), gradient())


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4)), np.zeros(4, np.uint8)]
)
def test_arrays_of_another_kind_are_refused(array):
    with pytest.raises(UnusableImage, match="expected uint8 pixels"):
        to_pixels(array)


def test_pixel_hash_is_equal_for_equal_pixels_in_any_file_format():
    formats = [encoded(RGB, "PNG"), encoded(RGB, "BMP"), encoded(RGB, "TIFF")]
    assert len({pixel_hash(decode(data)) for data in formats}) == 1
    assert pixel_hash(decode(JPEG)) == pixel_hash(decode(encoded(Image.open(BytesIO(JPEG)), "PNG")))


def test_pixel_hash_takes_grey_stored_as_rgb_for_grey():
    assert pixel_hash(decode(encoded(GREY, "PNG"))) == pixel_hash(
        decode(encoded(GREY.convert("RGB"), "PNG"))
    )


def test_pixel_hash_differs_for_other_pixels_shapes_and_channels():
    one = np.zeros((4, 6, 1), np.uint8)
    other = one.copy()
    other[2, 3] = 1
    colour = np.repeat(one, 3, axis=2)
    colour[3, 5, 2] = 1
    hashes = {pixel_hash(a) for a in (one, other, one.reshape(6, 4, 1), colour)}
    assert len(hashes) == 4


def test_array_sha256_is_of_dtype_shape_and_bytes():
    row = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = hashlib.sha256(b"|u1(3, 4)" + row.tobytes()).hexdigest()
    assert array_sha256(row) == expected
    assert array_sha256(np.asfortranarray(row)) == expected
    assert array_sha256(row.reshape(4, 3)) != expected


def test_signature_is_an_area_average_in_grey():
    large = np.asarray(RGB.resize((1280, 960), Image.Resampling.BICUBIC))
    found = np.frombuffer(signature(large), np.uint8).reshape(SIGNATURE_SIZE, SIGNATURE_SIZE)
    grey = np.asarray(Image.fromarray(large).convert("L"), dtype=float)
    expected = grey.reshape(32, 30, 32, 40).mean(axis=(1, 3))
    assert np.abs(found - expected).max() <= 1.5


def test_signature_hardly_changes_with_size_and_compression():
    large = RGB.resize((640, 480), Image.Resampling.BICUBIC)
    small = decode(encoded(large.resize((400, 300), Image.Resampling.BICUBIC), "JPEG", quality=60))
    one, other = (np.frombuffer(signature(p), np.uint8) for p in (np.asarray(large), small))
    assert np.abs(one.astype(int) - other).mean() < 2


def test_small_photos_have_no_signature():
    assert signature(np.zeros((63, 200, 3), np.uint8)) is None
    assert signature(np.zeros((64, 200, 1), np.uint8)) is not None
