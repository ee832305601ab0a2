import numpy as np
import pytest

from lepton_solutions.data.images import Picture
from medical.imaging.looks import Look, look
from medical.imaging.shortcuts import shortcuts

N = 240
LABELS = ["well", "ill"]
ALONE = np.arange(N)


def looks(change=lambda ill, number, pixels: pixels, facts=lambda ill, number: {}) -> tuple[list[Look], np.ndarray]:
    draw = np.random.default_rng(0)
    target = draw.integers(0, 2, N)
    found = []
    for number, ill in enumerate(target):
        pixels = draw.normal(120, 25, (1, 64, 64)).clip(0, 255).astype(np.uint8)
        found.append(look(Picture(change(ill, number, pixels), None, facts(ill, number))))
    return found, target


def burnt_in(ill, number, pixels):
    if ill:
        pixels[0, 3:9, 3:9:2] = 255
    return pixels


def larger(ill, number, pixels):
    return pixels[:, : 60 + 4 * ill]


def brighter(ill, number, pixels):
    return (pixels.astype(float) * (1 - 0.5 * ill)).astype(np.uint8)


def test_images_that_tell_nothing_are_left_in_peace():
    found, target = looks(facts=lambda ill, number: {"Manufacturer": "AB"[number % 2], "KVP": str(80 + number % 40)})
    assert shortcuts(found, target, LABELS, ALONE) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [(burnt_in, "what stands in the corners"), (larger, "the image size"), (brighter, "the brightness")],
    ids=["burnt-in mark", "size", "brightness"],
)
def test_what_is_not_anatomy_and_tells_the_label_is_named(change, named):
    found, target = looks(change)
    assert named in [finding.columns[0] for finding in shortcuts(found, target, LABELS, ALONE)]


def test_a_tag_that_tells_the_label_is_named_with_its_auc():
    found, target = looks(facts=lambda ill, number: {"Manufacturer": "A" if ill and number % 5 else "B"})
    (finding,) = shortcuts(found, target, LABELS, ALONE)
    assert finding.level == "warning" and finding.check == "shortcut"
    # B is the scanner of all the well and a fifth of the ill: AUC 1 - .5 / 5 = .9.
    before, _, told = finding.message.partition(": AUC ")
    assert before == "`ill` can be told by the tag `Manufacturer` alone"
    assert float(told.split(",")[0]) == pytest.approx(0.9, abs=0.03)  # a standard error of 240 images is .02


def test_a_label_among_several_is_named_and_unknown_ones_are_left_out():
    found, target = looks(facts=lambda ill, number: {"ViewPosition": "AP" if ill else "PA"})
    several = np.stack([np.random.default_rng(1).integers(0, 2, N), target], axis=1).astype(np.float32)
    several[:40, 1] = np.nan
    (finding,) = shortcuts(found, several, ["nodule", "fluid"], ALONE)
    assert "`fluid`" in finding.message


def test_owners_are_never_learned_from_and_judged_on_at_once():
    # Each patient's tag is his own number, and so is his label: only who has seen the patient can tell.
    draw = np.random.default_rng(2)
    ill = draw.integers(0, 2, 24)
    owner = np.repeat(np.arange(24), 10)
    found, _ = looks(facts=lambda _, number: {"Exposure": str(draw.permutation(24)[0] * 0 + owner[number] * 37 % 24)})
    assert shortcuts(found, ill[owner], LABELS, owner) == []
    assert len(shortcuts(found, ill[owner], LABELS, ALONE)) == 1


def test_too_few_images_say_nothing():
    found, target = looks(larger)
    rare = np.zeros(N, int)
    rare[np.flatnonzero(target)[:10]] = 1
    assert shortcuts(found, rare, LABELS, ALONE) == []
