"""The user's own images: folders a class and manifests, and every mistake in them said with its row."""

import dicom_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from images_settings import IMAGES
from PIL import Image

from lepton_solutions.data.splits import TEST, TRAIN, VALIDATION
from lepton_solutions.errors import UserError
from medical.imaging.manifest import own_images
from medical.imaging.settings import Images


def data(**values):
    return Images.model_validate(IMAGES | values)


def png(file, value=7, size=(10, 12)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(file)
    return file


@pytest.fixture
def scans(tmp_path):
    """Four images of each of two classes, and a manifest's place beside them."""
    for number in range(4):
        png(tmp_path / "scans" / "normal" / f"{number}.png", number)
        png(tmp_path / "scans" / "tumour" / f"{number}.png", 100 + number)
    return tmp_path


def manifest(folder, rows, header="path,label"):
    file = folder / "m.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


ROWS = [f"scans/{name}/{i}.png,{name}" for i in range(4) for name in ("normal", "tumour")]


def own(path, task="auto", **values):
    return own_images(path, data(**values), task)


def test_a_folder_a_class(scans):
    found = own(scans / "scans")
    assert found.labels == ("normal", "tumour")
    assert found.index.column("image").to_pylist()[:5] == [
        *(f"normal/{i}.png" for i in range(4)), "tumour/0.png"
    ]  # fmt: skip
    assert found.index.column("label").to_pylist() == [0] * 4 + [1] * 4
    assert found.read(6).pixels.max() == 102
    assert not (found.index.column("part").to_numpy() >= 0).any()


def test_folders_named_train_and_test_above_the_classes_are_a_split(scans):
    for name, part in (("TRAIN", "a"), ("val", "b"), ("test", "c")):
        (scans / "split" / name).mkdir(parents=True)
        for label in ("normal", "tumour"):
            png(scans / "split" / name / label / f"{part}.png")
    found = own(scans / "split")
    assert sorted(found.index.column("part").to_pylist()) == sorted([TRAIN, VALIDATION, TEST] * 2)
    assert found.labels == ("normal", "tumour")


def test_a_manifest_says_what_it_knows(scans):
    header = "Path,label,patient,study,site,split,sex,age,comment"
    rows = [f"{row},p{i},s1,here,train,F,{40 + i},x" for i, row in enumerate(ROWS)]
    rows[3] = rows[3].replace(",tumour,", ",,")
    found = own(manifest(scans, rows, header))
    assert found.index.column("label").to_pylist() == [0, 1, 0, None, 0, 1, 0, 1]
    assert found.index.column("patient").to_pylist() == [f"p{i}" for i in range(8)]
    assert found.index.column("age").to_pylist()[1] == 41
    assert found.index.column("image").to_pylist()[1] == "scans/tumour/0.png"
    assert "columns that are not read: comment" in found.notes


def test_a_parquet_manifest_reads_the_same_as_a_csv(scans):
    table = pa.table(
        {
            "path": [row.split(",")[0] for row in ROWS],
            "label": pa.array([0, 1] * 4),
            "patient": pa.array([1.0, 2.0] * 4),
        }
    )
    pq.write_table(table, scans / "m.parquet")
    written = own(scans / "m.parquet")
    text = own(manifest(scans, [f"{row.split(',')[0]},{i % 2},{i % 2 + 1}" for i, row in enumerate(ROWS)],
                        "path,label,patient"))  # fmt: skip
    assert written.index.equals(text.index)
    assert written.labels == ("0", "1")


def test_several_labels_in_a_cell_or_a_column_each(scans):
    cells = ["edema|mass", "mass", "", "edema"]
    found = own(manifest(scans, [f"{row.split(',')[0]},{cell}" for row, cell in zip(ROWS, cells, strict=False)]))
    assert (found.task, found.labels) == ("multilabel", ("edema", "mass"))
    columns = own(
        manifest(
            scans,
            [f"{row.split(',')[0]},{i % 2},{'' if i == 2 else 1}" for i, row in enumerate(ROWS[:4])],
            "path,label_edema,label_mass",
        )
    )
    assert columns.index.column("label_1").to_pylist() == [1, 1, None, 1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("../x.png,normal", r"m.csv, row 9, column `path`: found `../x.png`, which lies outside the manifest's folder"),
        ("/etc/passwd,normal", r"row 9, column `path`: found `/etc/passwd`, which lies outside"),
        ("scans/../../x.png,normal", r"row 9, column `path`: .* lies outside"),
        ("scans/normal/9.png,normal", r"row 9, column `path`: found `scans/normal/9.png`, but no such file"),
        (",normal", r"row 9, column `path`: found nothing"),
        ("scans/normal/0.png,tumour", r"rows 1 and 9: one image has the labels `normal` and `tumour`"),
    ],
)
def test_a_wrong_row_is_said_with_its_number(scans, row, said):
    with pytest.raises(UserError, match=said):
        own(manifest(scans, [*ROWS, row]))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("file,label", "found no column `path`"),
        ("path,lable", r"found no column `label`, expected one of them; did you mean `lable`\?"),
        ("path,label,split", r"row 1, column `split`: found `trian`, expected .*; did you mean `train`\?"),
        ("path,label,age", r"row 1, column `age`: found `trian`, expected years, a number"),
    ],
)
def test_a_wrong_column_is_said(scans, header, said):
    rows = ROWS if header.count(",") == 1 else [f"{row},trian" for row in ROWS]
    with pytest.raises(UserError, match=said):
        own(manifest(scans, rows, header))


def test_what_is_no_set_of_images_is_said(scans):
    with pytest.raises(UserError, match="found 4 images and no sub-folder"):
        own(scans / "scans" / "normal")
    (scans / "scans" / "void").mkdir()
    with pytest.raises(UserError, match=r"void: found no image, expected those of the class `void`"):
        own(scans / "scans")
    with pytest.raises(UserError, match=r"found no such file or folder"):
        own(scans / "nowhere")
    with pytest.raises(UserError, match=r"found a file ending in `.png`, expected a folder of images or a manifest"):
        own(scans / "scans" / "normal" / "0.png")


def test_dicom_headers_say_whose_images_they_are_and_no_identity_leaves_them(tmp_path):
    for number, who in enumerate(("AA-1", "AA-1", "BB-2", "CC-3")):
        dataset = dicom_files.image(np.full((8, 8), number, np.int16), PatientID=who, StudyInstanceUID=f"1.2.{number}",
                                    SeriesInstanceUID=f"1.3.{number}")  # fmt: skip
        place = tmp_path / ("sick" if number % 2 else "normal")
        place.mkdir(exist_ok=True)
        dicom_files.write(place / f"{number}.dcm", dataset)
    found = own(tmp_path, size=[8, 8])
    by_image = dict(
        zip(found.index.column("image").to_pylist(), found.index.column("patient").to_pylist(), strict=True)
    )
    assert by_image["normal/0.dcm"] == by_image["sick/1.dcm"]
    assert len(set(by_image.values())) == 3
    assert not any(secret in str(found.index.to_pydict()) for secret in ("AA-1", "BB-2", "1.2.", "Bront"))


def test_a_series_of_dicom_files_is_one_volume(tmp_path):
    for label, name in (("normal", "a"), ("normal", "b"), ("sick", "c")):
        (tmp_path / label / name).mkdir(parents=True)
        dicom_files.series(tmp_path / label / name)
    found = own(tmp_path)
    assert found.index.column("image").to_pylist() == ["normal/a", "normal/b", "sick/c"]
    assert found.read(0).pixels.shape == (1, 4, 5, 6)


def test_a_changed_file_is_another_set(scans):
    before = own(scans / "scans").identity
    assert own(scans / "scans").identity == before
    png(scans / "scans" / "normal" / "0.png", 200, size=(11, 12))
    assert own(scans / "scans").identity != before


@pytest.mark.parametrize(("name", "meant"), [("Pat ID", "patient"), ("subject", "patient"), ("splits", "split")])
def test_a_column_that_seems_to_say_whose_image_it_is_is_not_passed_over(scans, name, meant):
    rows = [f"{row},{i}" for i, row in enumerate(ROWS)]
    with pytest.raises(UserError, match=rf"`{name.casefold()}` that is not read; did you mean `{meant}`"):
        own(manifest(scans, rows, f"path,label,{name}"))
