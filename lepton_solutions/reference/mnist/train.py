"""What the digits pipeline learns: the network, the baseline beside it, and the task head. Reads no test images."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from lepton_solutions.reference.mnist import parts
from lepton_solutions.reference.mnist.network import DigitNet, augmented, fit_head
from lepton_solutions.reference.mnist.parts import Images
from lepton_solutions.reference.mnist.settings import Augment, Mnist
from lepton_solutions.reference.mnist.sources import CLASSES
from lepton_solutions.settings import Fit
from lepton_solutions.training.loop import Outcome, fit

TRAINED, FINE_TUNED = "trained", "finetuned"  # folders of a run
AT_ONCE = 4096  # images of one call outside training
BATCHES, FINE_BATCHES = 100, 10  # of an epoch, where the batch size is left open: training and fine-tuning


@dataclass(frozen=True)
class Sources:
    """What a training learns from, what judges it, and where its files lie."""

    train: Images
    validation: Images
    folder: Path


def train(settings: Mnist, run: Path, out: Path, progress: Progress) -> None:
    """The network and softmax regression, its baseline, by the same settings; the folder `trained`."""
    images, held = parts.read(run, "train"), parts.read(run, "validation")
    bare = Augment(rotate=0, scale=0, shear=0, shift=0)
    learned = {}
    for name, hidden, changed in (("baseline", 0, bare), ("trained", settings.hidden, settings.augment)):
        network = new_network(hidden, images, seed=settings.seed)
        sources = Sources(images, held, run / "training" / name)
        asked = with_batches(settings.fit, len(images), BATCHES)
        outcome = learn(network, sources, asked, changed, settings.seed, progress)
        learned[name] = keep(network, outcome, asked, sources, out / TRAINED, name)
    write_json(out / TRAINED / "learned.json", learned)
    progress.update(1.0, _told(learned["trained"]) + f", baseline {learned['baseline']['validation']['accuracy']:.2%}")


def finetune(settings: Mnist, run: Path, out: Path, progress: Progress) -> None:
    """A new head on the trained trunk, then both together at a low rate; the folder `finetuned`.

    On training images: whoever tunes on the test set, if only for the last hundred steps, reports how well the model
    knows images it was shown. Which epoch is kept is decided by validation images.
    """
    images, held = parts.read(run, "train"), parts.read(run, "validation")
    network = load_network(run / TRAINED / "trained.safetensors")
    fit_head(network, images.pixels, images.labels)
    changes = {
        "epochs": settings.finetune.epochs,
        "learning_rate": settings.finetune.learning_rate,
        "batch_size": None,
        "schedule": "constant",
        "warm_up": 0.0,
    }
    asked = with_batches(settings.fit.model_copy(update=changes), len(images), FINE_BATCHES)
    sources = Sources(images, held, run / "training" / "finetuned")
    outcome = learn(network, sources, asked, settings.augment, settings.seed, progress)
    learned = keep(network, outcome, asked, sources, out / FINE_TUNED, "finetuned")
    write_json(out / FINE_TUNED / "learned.json", {"finetuned": learned})
    progress.update(1.0, _told(learned))


def new_network(hidden: int, images: Images, *, seed: int) -> DigitNet:
    """With PyTorch's usual random weights, and the scaling of these images."""
    pixels = images.pixels.double()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DigitNet(hidden, mean=pixels.mean().item(), std=pixels.std().item())


def with_batches(settings: Fit, rows: int, batches: int) -> Fit:
    """A batch size where none is set: so that an epoch has so many batches, or one of every row."""
    return settings if settings.batch_size else settings.model_copy(update={"batch_size": max(1, rows // batches)})


def learn(
    network: DigitNet, sources: Sources, settings: Fit, augment: Augment, seed: int, progress: Progress
) -> Outcome:
    """Train in place by the project's loop; validation loss decides when to stop and which weights are best."""
    task = tasks.multiclass(CLASSES, label_smoothing=settings.label_smoothing)
    changed = any(augment.model_dump().values())
    return fit(
        network,
        task,
        Resident(
            (sources.train.pixels,),
            sources.train.labels,
            balanced=settings.balanced,
            augment=partial(augmented, by=augment) if changed else None,
        ),
        settings,
        seed=seed,
        generator=torch.Generator().manual_seed(seed),
        judge=partial(judge, images=sources.validation),
        folder=sources.folder,
        watch=progress.update,
    )


def judge(network: nn.Module, images: Images) -> dict[str, float]:
    """Mean cross-entropy, which decides, and accuracy."""
    found = scores(network, images.pixels)
    return {
        "loss": nn.functional.cross_entropy(found, images.labels).item(),
        "accuracy": (found.argmax(1) == images.labels).double().mean().item(),
    }


def scores(network: nn.Module, pixels: Tensor) -> Tensor:
    """One score a digit of each image, on the CPU: [n, 10]."""
    device = next(network.parameters()).device
    with torch.no_grad():
        return torch.cat([network(some.to(device)).float().cpu() for some in pixels.split(AT_ONCE)])


def keep(network: DigitNet, outcome: Outcome, settings: Fit, sources: Sources, out: Path, name: str) -> dict:
    """Write weights and history of a training; what is worth telling about it."""
    out.mkdir(exist_ok=True)
    save_file(network.state_dict(), out / f"{name}.safetensors")
    shutil.copyfile(sources.folder / "history.csv", out / f"{name}.csv")
    return {
        "images": len(sources.train),
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "optimiser": settings.optimiser,
        **outcome.facts(),
        "validation": judge(network, sources.validation),
    }


def load_network(path: Path) -> DigitNet:
    """A network from its weights, whose shapes tell how large it is."""
    weights = load_file(path)
    hidden = len(weights["layers.1.weight"]) if "layers.4.weight" in weights else 0
    network = DigitNet(hidden, mean=0.0, std=1.0)
    network.load_state_dict(weights)
    return network.eval()


def learned(settings: Mnist, run: Path) -> dict[str, dict]:
    """What was learned by every training of a run, by name."""
    folders = (TRAINED, FINE_TUNED) if settings.finetune.epochs else (TRAINED,)
    found = [json.loads((run / folder / "learned.json").read_text(encoding="utf-8")) for folder in folders]
    return {name: facts for trainings in found for name, facts in trainings.items()}


def weights_of(run: Path, name: str) -> Path:
    """Where the weights of a training of the run lie."""
    return run / (FINE_TUNED if name == "finetuned" else TRAINED) / f"{name}.safetensors"


def _told(facts: dict) -> str:
    return f"{facts['steps']:,} steps, validation accuracy {facts['validation']['accuracy']:.2%}"
