"""The eighteen sets of MedMNIST v2 as their publisher describes them: classes, checksums, terms.

Taken from the publisher's own table (github.com/MedMNIST/MedMNIST, medmnist/info.py, version 3.0.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lepton_solutions.data.sources import Source

HOME = "https://zenodo.org/records/10519652"
CITE = (
    "J. Yang et al., MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image classification, "
    "Scientific Data 10:41, 2023, doi:10.1038/s41597-022-01721-8"
)
_ABDOMEN = ("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left",
            "lung-right", "pancreas", "spleen")  # fmt: skip


@dataclass(frozen=True)
class Published:
    """One set. labels: in the order of the published numbers; the last of two is the positive one of published AUCs.

    md5: of the official file of each resolution in pixels.
    """

    name: str
    task: Literal["binary", "multiclass", "multilabel", "ordinal"]
    labels: tuple[str, ...]
    modality: str
    md5: Mapping[int, str]
    licence: str = "CC BY 4.0"

    @property
    def dims(self) -> int:
        return 3 if self.name.endswith("3d") else 2

    def source(self, resolution: int) -> Source:
        """Where the file of a resolution lies."""
        file = f"{self.name}.npz" if resolution == 28 else f"{self.name}_{resolution}.npz"
        return Source(
            name="medmnist",
            file=file,
            home=HOME,
            licence=self.licence,
            cite=CITE,
            md5=self.md5[resolution],
            url=f"{HOME}/files/{file}?download=1",
        )


def _sums(*sums: str) -> dict[int, str]:
    return dict(zip((28, 64, 128, 224), sums, strict=False))


SETS = {
    published.name: published
    for published in (
        Published(
            "pathmnist",
            "multiclass",
            (
                "adipose",
                "background",
                "debris",
                "lymphocytes",
                "mucus",
                "smooth muscle",
                "normal colon mucosa",
                "cancer-associated stroma",
                "colorectal adenocarcinoma epithelium",
            ),
            "pathology",
            _sums(
                "a8b06965200029087d5bd730944a56c1",
                "55aa9c1e0525abe5a6b9d8343a507616",
                "ac42d08fb904d92c244187169d1fd1d9",
                "2c51a510bcdc9cf8ddb2af93af1eadec",
            ),
        ),
        Published(
            "chestmnist",
            "multilabel",
            (
                "atelectasis",
                "cardiomegaly",
                "effusion",
                "infiltration",
                "mass",
                "nodule",
                "pneumonia",
                "pneumothorax",
                "consolidation",
                "edema",
                "emphysema",
                "fibrosis",
                "pleural",
                "hernia",
            ),
            "X-ray",
            _sums(
                "02c8a6516a18b556561a56cbdd36c4a8",
                "9de6cd0b934ebb5b7426cfba5efbae16",
                "db107e5590b27930b62dbaf558aebee3",
                "45bd33e6f06c3e8cdb481c74a89152aa",
            ),
        ),
        Published(
            "dermamnist",
            "multiclass",
            (
                "actinic keratoses and intraepithelial carcinoma",
                "basal cell carcinoma",
                "benign keratosis-like lesions",
                "dermatofibroma",
                "melanoma",
                "melanocytic nevi",
                "vascular lesions",
            ),
            "dermatoscope",
            _sums(
                "0744692d530f8e62ec473284d019b0c7",
                "b70a2f5635c6199aeaa28c31d7202e1f",
                "2defd784463fa5243564e855ed717de1",
                "8974907d8e169bef5f5b96bc506ae45d",
            ),
            "CC BY-NC 4.0",
        ),
        Published(
            "octmnist",
            "multiclass",
            ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
            "OCT",
            _sums(
                "c68d92d5b585d8d81f7112f81e2d0842",
                "e229e9440236b774d9f0dfef9d07bdaf",
                "0a97e76651ace45c5d943ee3f65b63ae",
                "abc493b6d529d5de7569faaef2773ba3",
            ),
        ),
        Published(
            "pneumoniamnist",
            "binary",
            ("normal", "pneumonia"),
            "X-ray",
            _sums(
                "28209eda62fecd6e6a2d98b1501bb15f",
                "8f4eceb4ccffa70c672198ea285246c6",
                "05b46931834c231683c68f40c47b2971",
                "d6a3c71de1b945ea11211b03746c1fe1",
            ),
        ),
        Published(
            "retinamnist",
            "ordinal",
            ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),  # severity of diabetic retinopathy
            "fundus camera",
            _sums(
                "bd4c0672f1bba3e3a89f0e4e876791e4",
                "afda852cc34dcda56f86ad2b2457dbcc",
                "e48e916a24454daf90583d4e6efb1a18",
                "eae7e3b6f3fcbda4ae613ebdcbe35348",
            ),
        ),
        Published(
            "breastmnist",
            "binary",
            ("malignant", "normal or benign"),
            "ultrasound",
            _sums(
                "750601b1f35ba3300ea97c75c52ff8f6",
                "742edef2a1fd1524b2efff4bd7ba9364",
                "363e4b3f8d712e9b5de15470a2aaadf1",
                "b56378a6eefa9fed602bb16d192d4c8b",
            ),
        ),
        Published(
            "bloodmnist",
            "multiclass",
            (
                "basophil",
                "eosinophil",
                "erythroblast",
                "immature granulocytes",
                "lymphocyte",
                "monocyte",
                "neutrophil",
                "platelet",
            ),
            "microscope",
            _sums(
                "7053d0359d879ad8a5505303e11de1dc",
                "2b94928a2ae4916078ca51e05b6b800b",
                "adace1e0ed228fccda1f39692059dd4c",
                "b718ff6835fcbdb22ba9eacccd7b2601",
            ),
        ),
        Published(
            "tissuemnist",
            "multiclass",
            (
                "collecting duct, connecting tubule",
                "distal convoluted tubule",
                "glomerular endothelial cells",
                "interstitial endothelial cells",
                "leukocytes",
                "podocytes",
                "proximal tubule segments",
                "thick ascending limb",
            ),
            "microscope",
            _sums(
                "ebe78ee8b05294063de985d821c1c34b",
                "123ece2eba09d0aa5d698fda57103344",
                "61b955355d7425a89687b06cca3ce0c2",
                "b077128c4a949f0a4eb01517f9037b9c",
            ),
        ),
        Published(
            "organamnist",
            "multiclass",
            _ABDOMEN,
            "CT",
            _sums(
                "68e3f8846a6bd62f0c9bf841c0d9eacc",
                "2dcccc29b88e6da5a01161ef20cda288",
                "eeae80d0a227a8d099027e1b3cfd3b60",
                "50747347e05c87dd3aaf92c49f9f3170",
            ),
        ),
        Published(
            "organcmnist",
            "multiclass",
            _ABDOMEN,
            "CT",
            _sums(
                "b9ceb9546e10131b32923c5bbeaea2b1",
                "3ce34a8724ea6f548e6db4744d03b6a9",
                "773c1f009daa3fe5d9a2a201b2a7ed94",
                "050f5e875dc056f6768abf94ec9995d1",
            ),
        ),
        Published(
            "organsmnist",
            "multiclass",
            _ABDOMEN,
            "CT",
            _sums(
                "9ab87b696fb54e2a387ebe992d6ed5f1",
                "53a6d115339d874c25e309a994ff46d3",
                "ded0c5fa01a95dc4978b956f613e9b8e",
                "b354719e553fbbb2513d5533f52a4cb1",
            ),
        ),
        Published(
            "organmnist3d",
            "multiclass",
            (
                "liver",
                "kidney-right",
                "kidney-left",
                "femur-right",
                "femur-left",
                "bladder",
                "heart",
                "lung-right",
                "lung-left",
                "spleen",
                "pancreas",
            ),
            "CT",
            _sums("a0c5a1ff56af4f155c46d46fbb45a2fe", "58a2205adf14a9d0a189cb06dc78bf10"),
        ),
        Published(
            "nodulemnist3d",
            "binary",
            ("benign", "malignant"),
            "CT",
            _sums("8755a7e9e05a4d9ce80a24c3e7a256f3", "c47c5b7d457bf6332200d2ea6d64ecd8"),
        ),
        Published(
            "adrenalmnist3d",
            "binary",
            ("normal", "hyperplasia"),
            "CT",
            _sums("bbd3c5a5576322bc4cdfea780653b1ce", "17721accfe9fb005146a47d33bc54b2f"),
        ),
        Published(
            "fracturemnist3d",
            "multiclass",
            ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"),
            "CT",
            _sums("6aa7b0143a6b42da40027a9dda61302f", "f01d7e6316aedf4210da0da5b7437b42"),
        ),
        Published(
            "vesselmnist3d",
            "binary",
            ("vessel", "aneurysm"),
            "MRA",
            _sums("b41fd4f7e7e2feedddb201585ecafa1b", "6bb274a8846e1097066dcd64e2c4520f"),
        ),
        Published(
            "synapsemnist3d",
            "binary",
            ("inhibitory synapse", "excitatory synapse"),
            "electron microscope",
            _sums("1235b78a3cd6280881dd7850a78eadb6", "43bd14ebf3af9d3dd072446fedc14d5e"),
        ),
    )
}
