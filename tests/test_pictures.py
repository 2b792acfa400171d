from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pegboard.errors import RunFolderError
from pegboard.pictures import (
    LOSSLESS,
    THUMBNAIL,
    Album,
    decode_rgb,
    encode,
    name_of,
    read_pictures,
    thumbnail,
    within,
    write_pictures,
)

FEW = settings(max_examples=20, deadline=None)
ORIENTATION, GPS = 0x0112, 0x8825


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@FEW
@given(
    height=st.integers(1, LOSSLESS),
    width=st.integers(1, LOSSLESS),
    channels=st.sampled_from([1, 3]),
)
def test_small_pictures_keep_every_pixel(height: int, width: int, channels: int) -> None:
    pixels = noise(height, width, channels)
    again = decode_rgb(encode(pixels))
    assert again.shape == (height, width, 3)
    assert (again == pixels).all()


@FEW
@given(height=st.integers(1, 400), width=st.integers(1, 400), channels=st.sampled_from([1, 3]))
def test_thumbnails_keep_the_shape_and_bound_the_size(
    height: int, width: int, channels: int
) -> None:
    small = within(noise(height, width, channels), THUMBNAIL)
    longest = max(height, width)
    assert max(small.shape[:2]) == min(THUMBNAIL, longest)
    assert small.shape[2] == channels
    scale = min(1, THUMBNAIL / longest)
    assert abs(small.shape[0] - height * scale) <= 1
    assert abs(small.shape[1] - width * scale) <= 1


def photo_with_everything(width: int = 640, height: int = 480) -> bytes:
    """A JPEG, dark above, lying on its side, that says where it was taken and by whom."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[height // 2 :] = 250
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned by 90 degrees clockwise
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif, comment=b"SECRETCOMMENT")
    return stream.getvalue()


def test_a_thumbnail_is_turned_and_says_nothing_of_its_photo() -> None:
    payload = photo_with_everything()
    assert b"SECRETCAMERA" in payload
    data = thumbnail(payload)
    assert len(data) < 2500
    image = Image.open(io.BytesIO(data))
    assert image.size == (72, 96)
    assert not image.getexif()
    assert {"exif", "icc_profile", "xmp", "comment"}.isdisjoint(image.info)
    assert b"SECRET" not in data
    left, right = np.asarray(image)[:, 10].mean(), np.asarray(image)[:, -10].mean()
    assert left > 200  # what was below is left after a clockwise turn
    assert right < 50


def test_a_digit_takes_little_room() -> None:
    digit = np.zeros((28, 28, 1), np.uint8)
    digit[4:24, 12:16, 0] = 255
    assert len(encode(digit)) < 200


class TestArchive:
    def pictures(self) -> dict[str, bytes]:
        album = Album()
        for seed in range(4):
            album.add(encode(noise(80 + seed, 90, seed=seed)))
        return album.pictures

    def test_is_read_back_and_always_the_same_bytes(self, tmp_path: Path) -> None:
        pictures = self.pictures()
        write_pictures(tmp_path / "a.zip", pictures)
        write_pictures(tmp_path / "b.zip", dict(reversed(pictures.items())))
        assert read_pictures(tmp_path / "a.zip") == pictures
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
            assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}

    def test_equal_pictures_are_kept_once(self) -> None:
        album = Album()
        assert album.add(encode(noise(9, 9))) == album.add(encode(noise(9, 9)))
        assert len(album.pictures) == 1

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
    def test_one_cut_off_is_refused(self, tmp_path: Path, share: float) -> None:
        file = tmp_path / "pictures.zip"
        write_pictures(file, self.pictures())
        data = file.read_bytes()
        file.write_bytes(data[: int(share * len(data))])
        with pytest.raises(RunFolderError, match=r"pictures\.zip was damaged or altered"):
            read_pictures(file)

    @FEW
    @given(place=st.floats(0, 0.999), change=st.integers(1, 255))
    def test_no_changed_picture_is_ever_shown(
        self, tmp_path_factory: pytest.TempPathFactory, place: float, change: int
    ) -> None:
        file = tmp_path_factory.mktemp("zip") / "pictures.zip"
        pictures = self.pictures()
        write_pictures(file, pictures)
        data = bytearray(file.read_bytes())
        data[int(place * len(data))] ^= change
        file.write_bytes(data)
        # Some bits say nothing, such as those of a member's mode.
        with contextlib.suppress(RunFolderError):
            assert read_pictures(file).items() <= pictures.items()

    def test_another_picture_under_a_name_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "pictures.zip"
        first, second = list(self.pictures().items())[:2]
        write_pictures(file, {first[0]: second[1]})
        with pytest.raises(RunFolderError, match="not what its name says"):
            read_pictures(file)

    def test_a_compressed_member_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "pictures.zip"
        data = bytes(1000)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name_of(data), data)
        with pytest.raises(RunFolderError, match="compressed or too large"):
            read_pictures(file)

    def test_a_missing_one_is_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match="cannot be read"):
            read_pictures(tmp_path / "pictures.zip")
