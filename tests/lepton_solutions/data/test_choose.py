"""Which sets stay in memory, and that a streamed set holds the same rows."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lepton_solutions.data.batches import Resident
from lepton_solutions.data.choose import batches_for
from lepton_solutions.data.readers import MappedRows, image_folder
from lepton_solutions.data.streaming import Stream
from lepton_solutions.places import conf_folder
from lepton_solutions.settings import Fit


@pytest.fixture(scope="module")
def settings():
    return Fit(**yaml.safe_load((conf_folder() / "fit" / "loop.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def rows(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32))
    np.save(tmp_path / "y.npy", np.arange(200) % 2)
    np.save(tmp_path / "w.npy", np.arange(200, dtype=np.float32) + 1)
    return MappedRows((tmp_path / "x.npy",), tmp_path / "y.npy", tmp_path / "w.npy")


def test_a_set_that_fits_stays_in_memory_and_a_larger_one_streams_the_same_rows(settings, rows):
    need = (200 * (3 * 4 + 8 + 4 + 8)) / 1e9
    kept = batches_for(rows, settings.model_copy(update={"memory_gb": need}))
    streamed = batches_for(rows, settings.model_copy(update={"memory_gb": need * 0.99, "workers": 0}))
    assert isinstance(kept, Resident)
    assert kept.memory == pytest.approx(need * 1e9)
    assert isinstance(streamed, Stream)
    found = [list(batches.epoch(64, torch.Generator())) for batches in (kept, streamed)]
    sorted_rows = []
    for batches in found:
        order = torch.cat([batch.rows for batch in batches]).argsort()
        sorted_rows.append([torch.cat([getattr(b, name) for b in batches])[order] for name in ("target", "weight")])
        sorted_rows[-1].append(torch.cat([batch.inputs[0] for batch in batches])[order])
    for one, other in zip(*sorted_rows, strict=True):
        torch.testing.assert_close(one, other)


def test_images_that_do_not_fit_are_decoded_once_and_streamed_from_the_cache(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(6):
        place = tmp_path / "images" / f"class {number % 2}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(place)
    tight = settings.model_copy(update={"memory_gb": 1e-9, "workers": 0})
    batches = batches_for(image_folder(tmp_path / "images", (4, 4), channels=1), tight)
    assert isinstance(batches.reader, MappedRows)
    found = [batch.inputs[0][:, 0, 0, 0] for batch in batches.epoch(2, torch.Generator())]
    assert sorted(torch.cat(found).tolist()) == list(range(6))
