"""One small model of simulated CT, and a study to show it, for the tests of everything that serves a model."""

from pathlib import Path

import dicom_files
import numpy as np
import pytest

from medical.imaging.classifier import ImageClassifier
from medical.imaging.phantom import Phantoms

SIDE, PATIENTS = 48, 60
PHANTOMS = Phantoms(side=SIDE, patients=PATIENTS)


@pytest.fixture(scope="session")
def ct_model() -> ImageClassifier:
    """Resamples to 32 x 32 pixels of 8 mm; trained for two epochs, for reading only."""
    rows = range(len(PHANTOMS.patient))
    model = ImageClassifier(size=(32, 32), spacing=(8.0, 8.0), epochs=2, overrides=("fit.plan=eager", "model.width=4"))
    return model.fit(
        np.stack([PHANTOMS.image(row) for row in rows]),
        np.array(["clear", "lesion"])[PHANTOMS.label],
        patients=PHANTOMS.patient,
        image_spacing=PHANTOMS.spacing,
    )


@pytest.fixture(scope="session")
def ct_bundle(ct_model: ImageClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released") / "bundle"
    ct_model.save(folder)
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two slices of one study and one of another, as DICOM files of an invented patient."""
    folder = tmp_path / "given"
    for number, uid in enumerate(("1.2.3", "1.2.3", "1.2.4")):
        (folder / f"{uid}").mkdir(parents=True, exist_ok=True)
        slice_ = dicom_files.image(PHANTOMS.image(number)[0], StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.9")
        slice_.PixelSpacing = list(PHANTOMS.spacing)
        dicom_files.write(folder / uid / f"{number}.dcm", slice_)
    return folder
