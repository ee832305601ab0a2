"""Image files keep every grey level that they hold, and broken ones are named."""

import io

import numpy as np
import pytest
from PIL import Image

from lepton_solutions.data.images import read_picture
from lepton_solutions.errors import UserError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (7, 5), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (7, 5), dtype=np.uint16)
COLOUR = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
def test_eight_bits_of_grey_stay_as_they_are(tmp_path, name):
    Image.fromarray(GREY).save(tmp_path / name, lossless=True)
    picture = read_picture(tmp_path / name)
    expected = np.stack([GREY] * 3) if name == "a.webp" else GREY[None]  # WebP knows only colour
    assert np.array_equal(picture.pixels, expected)
    assert picture.pixels.dtype == np.uint8
    assert picture.spacing is None
    assert picture.size == (7, 5)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_of_grey_stay_as_they_are(tmp_path, name):
    Image.fromarray(DEEP).save(tmp_path / name)
    picture = read_picture(tmp_path / name)
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels[0], DEEP)


def test_floats_of_a_tiff_stay_floats(tmp_path):
    values = RNG.normal(size=(7, 5)).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert np.array_equal(read_picture(tmp_path / "a.tif").pixels[0], values)


def test_pixels_that_are_no_numbers_are_refused(tmp_path):
    Image.fromarray(np.array([[1, np.nan]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif: found 1 of 2 pixels that are no numbers"):
        read_picture(tmp_path / "a.tif")


def test_colour_has_three_channels_and_transparency_is_dropped(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([COLOUR, GREY])).save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert np.array_equal(read_picture(tmp_path / name).pixels, COLOUR.transpose(2, 0, 1))


def test_a_palette_gives_its_colours(tmp_path):
    palette = Image.fromarray(COLOUR).quantize(8)
    palette.save(tmp_path / "a.png")
    assert np.array_equal(
        read_picture(tmp_path / "a.png").pixels, np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    )


def test_black_and_white_becomes_0_and_255(tmp_path):
    Image.fromarray(GREY > 127).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png").pixels[0], np.where(GREY > 127, 255, 0))


def test_a_rotation_noted_by_the_camera_is_carried_out(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: 90 degrees clockwise puts it right
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png").pixels[0], np.rot90(GREY, -1))


def test_the_pages_of_a_tiff_are_the_slices_of_a_volume(tmp_path):
    pages = [Image.fromarray(DEEP + np.uint16(number)) for number in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    picture = read_picture(tmp_path / "a.tif")
    assert picture.pixels.shape == (1, 3, 7, 5)
    assert np.array_equal(picture.pixels[0, 2], DEEP + np.uint16(2))


def test_pages_of_two_sizes_are_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(GREY[:3])])
    with pytest.raises(UserError, match=r"page 2: found 3 x 5 pixels of 1 channel, uint8, expected 7 x 5"):
        read_picture(tmp_path / "a.tif")


def test_an_animation_is_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.gif", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    with pytest.raises(UserError, match=r"a\.gif: found an animation of 2 frames"):
        read_picture(tmp_path / "a.gif")


def test_colours_of_sixteen_bits_are_refused_rather_than_cut(tmp_path):
    # Pillow cannot write them: a PNG of 1 x 1 pixel, 16 bits, colour type 2, made by hand.
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(7))), chunk(b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(UserError, match="16 bits in each of three colours"):
        read_picture(tmp_path / "a.png")


def test_white_is_zero_in_a_tiff_of_sixteen_bits_is_turned_round(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert np.array_equal(read_picture(tmp_path / "a.tif").pixels[0], 65535 - DEEP)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png: cannot be read as an image"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_a_file_that_was_cut_short_is_named(tmp_path, kind):
    stream = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(stream, kind)
    file = tmp_path / f"a.{kind.lower()}"
    file.write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    with pytest.raises(UserError, match=rf"{file.name}: cannot be read as an image"):
        read_picture(file)


def test_a_decompression_bomb_is_not_unpacked(tmp_path):
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")  # 400 megapixels in 50 kB
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    with pytest.raises(UserError, match=r"a\.png: found too many pixels to be safe"):
        read_picture(tmp_path / "a.png")
