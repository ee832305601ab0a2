"""The bundle opens only when every listed file is there unchanged; else the file is named."""

import json
import re
from pathlib import Path

import pytest

from lepton_solutions import bundle
from lepton_solutions.deploy.predictor import Predictor
from lepton_solutions.errors import UserError

PIPELINE = "toy/count"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A bundle of few bytes."""
    folder = tmp_path / "bundle"
    (folder / "weights").mkdir(parents=True)
    for name in ("model.onnx", "inputs.json", "decision.json", "weights/mlp.safetensors"):
        (folder / name).write_text(f"what {name} holds")
    bundle.seal(folder, pipeline=PIPELINE)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        bundle.verify(folder)
    return refused.value.message


def change_manifest(folder: Path, **changes: object) -> None:
    place = folder / "manifest.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def test_an_unchanged_bundle_names_its_pipeline(sealed: Path):
    assert bundle.verify(sealed) == PIPELINE


def test_the_manifest_lists_every_file_with_its_size(sealed: Path):
    files = json.loads((sealed / "manifest.json").read_text())["files"]
    assert set(files) == {"model.onnx", "inputs.json", "decision.json", "weights/mlp.safetensors"}
    assert all(files[name]["bytes"] == (sealed / name).stat().st_size for name in files)


def test_the_hash_is_that_of_sha256sum(sealed: Path):
    (sealed / "model.onnx").write_bytes(b"abc")
    bundle.seal(sealed, pipeline=PIPELINE)
    listed = json.loads((sealed / "manifest.json").read_text())["files"]["model.onnx"]["sha256"]
    assert listed == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example B.1


@pytest.mark.parametrize("name", ["model.onnx", "decision.json", "weights/mlp.safetensors"])
def test_a_file_changed_by_one_letter_is_named(sealed: Path, name: str):
    text = (sealed / name).read_text()
    (sealed / name).write_text(text[:-1] + "!")
    assert refusal(sealed) == f"{sealed / name}: changed since the bundle was made (SHA-256 differs)"


def test_a_truncated_file_is_named(sealed: Path):
    (sealed / "model.onnx").write_text("what")
    assert refusal(sealed).startswith(f"{sealed / 'model.onnx'}: changed since the bundle was made")


def test_a_missing_file_is_named(sealed: Path):
    (sealed / "inputs.json").unlink()
    assert refusal(sealed) == f"{sealed / 'inputs.json'}: missing, although the manifest lists it"


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "weights/../../secret.txt"])
def test_a_path_outside_the_bundle_is_not_read(sealed: Path, name: str):
    (sealed.parent / "secret.txt").touch()
    files = json.loads((sealed / "manifest.json").read_text())["files"]
    change_manifest(sealed, files=files | {name: {"sha256": "0" * 64, "bytes": 0}})
    assert refusal(sealed) == f"{sealed / 'manifest.json'}: lists `{name}`, which lies outside the bundle"


def test_a_link_that_leads_outside_is_not_followed(sealed: Path):
    (sealed.parent / "secret.txt").write_text("what model.onnx holds")
    (sealed / "model.onnx").unlink()
    (sealed / "model.onnx").symlink_to(sealed.parent / "secret.txt")
    assert "lists `model.onnx`, which lies outside the bundle" in refusal(sealed)


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_format_is_refused(sealed: Path, version: object):
    change_manifest(sealed, format=version)
    assert refusal(sealed) == f"{sealed / 'manifest.json'}: bundle format {version}, this version reads 1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": 1, "pipeline": "x", "files": []}',
        '{"format": 1, "pipeline": "x", "files": {"model.onnx": {}}}',
        '{"format": 1, "pipeline": "x", "files": {"a": 3}}',
    ],
)
def test_a_manifest_that_is_none_is_refused(sealed: Path, text: str):
    (sealed / "manifest.json").write_text(text)
    assert refusal(sealed).startswith(f"{sealed / 'manifest.json'}: not a bundle's manifest")


def test_a_manifest_that_lists_no_model_is_refused(bundle_copy: Path):
    files = json.loads((bundle_copy / "manifest.json").read_text())["files"]
    change_manifest(bundle_copy, files={name: listed for name, listed in files.items() if name != "model.onnx"})
    with pytest.raises(UserError, match=r"does not list `model\.onnx`"):
        Predictor.open(bundle_copy)


def test_a_run_folder_is_as_good_as_its_bundle(sealed: Path):
    assert bundle.find(sealed) == bundle.find(sealed.parent) == sealed


def test_what_does_not_exist_and_what_holds_no_bundle_are_told_apart(tmp_path: Path):
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'no'}: there is no such bundle or run folder")):
        bundle.find(tmp_path / "no")
    with pytest.raises(UserError, match=r"holds no bundle \(no manifest.json\)"):
        bundle.find(tmp_path)


def test_the_size_is_that_of_the_files_that_the_predictor_reads(sealed: Path):
    read = ("model.onnx", "inputs.json", "decision.json", "manifest.json")
    assert bundle.size_bytes(sealed) == sum(len((sealed / name).read_bytes()) for name in read)


def test_no_file_of_a_real_bundle_is_a_pickle(run_folder: Path):
    files = [file for file in (run_folder / "bundle").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".onnx", ".json", ".safetensors", ".md", ".txt"}
    assert not any(file.read_bytes()[:1] == b"\x80" and file.suffix != ".safetensors" for file in files)


def test_a_changed_model_is_not_opened_for_predicting(bundle_copy: Path):
    model = bundle_copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(UserError, match=re.escape(f"{model}: changed since the bundle was made")):
        Predictor.open(bundle_copy)
