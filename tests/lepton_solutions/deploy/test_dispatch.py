"""A bundle is scored by its own pipeline's scoring, else as a table; an option that does not fit it is told."""

from pathlib import Path

import pytest

from lepton_solutions.deploy.dispatch import predict
from lepton_solutions.errors import UserError


def test_a_bundle_of_a_table_is_scored_as_one(run_folder: Path, german_csv: Path, tmp_path: Path):
    said = predict(run_folder, str(german_csv), str(tmp_path / "out.csv"))
    assert said.startswith("1,000 rows scored")


def test_dicom_is_refused_for_a_table(run_folder: Path, german_csv: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"--dicom: .*finance/credit.*rows of a table"):
        predict(run_folder, str(german_csv), str(tmp_path / "out"), dicom=True)
