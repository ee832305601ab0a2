"""What the imaging pipeline learns: the members, the baseline beside them, and the decision. Reads no test images.

Each member starts from a seed of its own. Validation images judge every epoch; with `fit.patience` set, the weights of
the epoch that ranks them best are kept, else the last (averaged) ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.augment import augmented, flip_axes
from lepton_solutions.data.batches import Batch
from lepton_solutions.data.choose import batches_for
from lepton_solutions.data.splits import CALIBRATION, TRAIN, VALIDATION
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from lepton_solutions.settings import Fit
from lepton_solutions.tasks import Task
from lepton_solutions.training.loop import Outcome, fit
from lepton_solutions.training.plan import PLAN
from medical.imaging.baseline import BASELINE, chunks, fit_baseline
from medical.imaging.exported import FOREIGN, Exported, Grid
from medical.imaging.fitting import fit_decision
from medical.imaging.foreign import MOST, Foreign, fit_foreign, statistics
from medical.imaging.networks import MEMBERS, Form, ImageNetwork, new_network, outputs_for
from medical.imaging.pooling import MEAN, fitted
from medical.imaging.recipe import schedule_for
from medical.imaging.scores import area
from medical.imaging.settings import Augment, Imaging
from medical.imaging.store import Facts, Store

LEARNING = 0.95  # share of the stage that goes into the members
TIE = 1e-6  # of the loss: decides between epochs that rank validation images alike


def train(settings: Imaging, run: Path, out: Path, progress: Progress) -> None:
    """Members, baseline, and the decision on calibration images."""
    store = Store.read(run)
    facts = store.facts
    form = form_of(settings, facts)
    asked = fit_defaults(facts, settings.fit)
    (out / MEMBERS).mkdir()
    networks, members = [], []
    for number in range(settings.model.members):
        share = LEARNING / settings.model.members
        name = f"network {number + 1}/{settings.model.members}, " if settings.model.members > 1 else ""

        def watch(done: float, text: str, at: float = number * share, share: float = share, name: str = name) -> None:
            progress.update(at + share * done, name + text)

        seed = member_seed(settings.seed, number)
        network = new_network(
            form,
            mean=tuple(facts.mean),
            std=tuple(facts.std),
            seed=seed,
            pretrained=settings.model.pretrained,
            weights=settings.model.weights,
        )
        folder = run / "training" / str(number)
        outcome = learn(network, store, asked, settings.augment, seed=seed, folder=folder, watch=watch)
        save_file(_plain(network.state_dict()), out / MEMBERS / f"{number}.safetensors")
        networks.append(network)
        members.append(_told(seed, outcome))
    flips = flip_axes(settings.augment.flip, facts.dims) if settings.model.flips else ()
    exported = Exported(
        networks, foreign_of(networks[0], store, seed=settings.seed), grid_of(facts), flips=flips
    ).eval()
    save_file(_plain(exported.foreign.state_dict()), out / MEMBERS / FOREIGN)
    baseline = fit_baseline(store, seed=settings.seed)
    baseline.write(out / BASELINE)
    found = {f"baseline/{name}": baseline.logit(store.pixels(part)) for name, part in _HELD.items()}
    for name, part in _HELD.items():
        found[f"trained/{name}"], found[f"distance/{name}"] = logits(exported, store.pixels(part))
    np.savez(out / "logits.npz", allow_pickle=False, **found)
    target = store.target(VALIDATION)
    validation = {
        variant: {"auc": area(facts.task, found[f"{variant}/validation"], target)}
        for variant in ("trained", "baseline")
    }
    write_json(
        out / "learned.json",
        {
            "network": form.to_json(),
            "grid": grid_of(facts).to_json(),
            "flips": list(flips),
            "fit": {"epochs": asked.epochs, "batch_size": asked.batch_size, "optimiser": asked.optimiser},
            "parameters": sum(p.numel() for p in networks[0].parameters()),
            "members": members,
            "validation": validation,
            "decisions": decisions(settings, store, exported, found),
            "plan": json.loads((run / "training" / "0" / PLAN).read_text(encoding="utf-8")),
        },
    )
    progress.update(
        1.0, f"validation auc {validation['trained']['auc']:.3f}, baseline {validation['baseline']['auc']:.3f}"
    )


_HELD = {"validation": VALIDATION, "calibration": CALIBRATION}


def form_of(settings: Imaging, facts: Facts) -> Form:
    """The network that the config and the images ask for."""
    model = settings.model
    return Form(
        name=model.name,
        width=model.width,
        dropout=model.dropout,
        task=facts.task,
        outputs=outputs_for(facts.task, len(facts.labels)),
        channels=facts.channels,
        size=tuple(facts.size),
        low=facts.low,
        high=facts.high,
    )


def grid_of(facts: Facts) -> Grid:
    """How pictures come to the size of the network."""
    return Grid(tuple(facts.size), None if facts.spacing is None else tuple(facts.spacing), facts.resized, facts.fill)


def fit_defaults(facts: Facts, settings: Fit) -> Fit:
    """Epochs and batch size where none are set, by number and size of the train part's images whose label is known."""
    images = facts.parts["train"].images - facts.parts["train"].unknown
    epochs, batch_size = schedule_for(images, side=math.prod(facts.size) ** (1 / facts.dims))
    changes = {"epochs": settings.epochs or epochs, "batch_size": settings.batch_size or min(images, batch_size)}
    return settings.model_copy(update=changes)


def member_seed(seed: int, number: int) -> int:
    """Of a member's weights, order and draws: no member of one run starts as a member of another."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def task_of(facts: Facts, settings: Fit) -> Task:
    """What is learned from the labels."""
    smoothing, labels = settings.label_smoothing, len(facts.labels)
    if facts.task == "binary":
        return tasks.binary(label_smoothing=smoothing)
    if facts.task == "multilabel":
        return tasks.multilabel(labels, label_smoothing=smoothing)
    return tasks.ordinal(labels) if facts.task == "ordinal" else tasks.multiclass(labels, label_smoothing=smoothing)


def learn(
    network: ImageNetwork,
    store: Store,
    settings: Fit,
    augment: Augment,
    *,
    seed: int,
    folder: Path | None = None,
    watch: Callable[[float, str], None] = lambda share, text: None,
) -> Outcome:
    """Train in place by the project's loop, on images whose label is known."""
    facts = store.facts
    change: Callable[[Batch], Batch] | None = None
    if any(augment.model_dump().values()):
        change = partial(augmented, by=augment, low=facts.low, high=facts.high)
    elif settings.mixup:
        change = _as_floats
    return fit(
        network,
        task_of(facts, settings),
        batches_for(store.reader(TRAIN), settings, augment=change),
        settings,
        seed=seed,
        generator=torch.Generator().manual_seed(seed),
        judge=partial(judge, store=store, settings=settings),
        higher_is_better=True,
        folder=folder,
        watch=watch,
    )


def _as_floats(batch: Batch) -> Batch:
    return batch._replace(inputs=tuple(x.float() for x in batch.inputs))


def judge(network: nn.Module, store: Store, settings: Fit) -> dict[str, float]:
    """Area under the ROC curve of validation images, which decides; between equals the loss does."""
    facts, target = store.facts, store.target(VALIDATION)
    found = torch.from_numpy(outputs(network, store.pixels(VALIDATION)))
    known = target >= 0 if target.ndim == 1 else np.isfinite(target).any(1)
    wanted = torch.from_numpy(target[known].astype(np.float64) if facts.task == "binary" else target[known])
    loss = float(task_of(facts, settings).loss(found[torch.from_numpy(known)], wanted).mean())
    return {"auc": area(facts.task, found.numpy(), target) - TIE * min(loss, 100.0), "loss": loss}


def outputs(network: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """What a network in evaluation mode says of stored pixels, float64 [n, ...]."""
    device = next(network.parameters()).device
    with torch.no_grad():
        found = [network(torch.from_numpy(chunk).to(device)).double().cpu().numpy() for chunk in chunks(pixels)]
    return np.concatenate(found)


def logits(exported: Exported, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logit [n, ...] and distance [n] of stored pixels, float64."""
    device = next(exported.parameters()).device
    logit, distance = [], []
    with torch.no_grad():
        for chunk in chunks(pixels):
            said, _, far = exported.answered(torch.from_numpy(chunk).to(device))
            logit.append(said.double().cpu().numpy())
            distance.append(far.double().cpu().numpy())
    return np.concatenate(logit), np.concatenate(distance)


def foreign_of(network: ImageNetwork, store: Store, *, seed: int) -> Foreign:
    """What foreign images are told by, from the train part as this network sees it."""
    pixels, target = store.pixels(TRAIN), store.target(TRAIN)
    rows = np.arange(len(pixels))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(len(pixels), MOST, replace=False))
    features, plain = [], []
    with torch.no_grad():
        for chunk in chunks(pixels, rows):
            images = torch.from_numpy(chunk)
            features.append(network.places(images).flatten(2).mean(2).double().numpy())
            plain.append(statistics(network.share(images)).double().numpy())
    return fit_foreign(np.concatenate(features), np.concatenate(plain), target[rows], store.facts.dims)


def decisions(
    settings: Imaging, store: Store, exported: Exported, found: Mapping[str, np.ndarray]
) -> dict[str, dict[str, object]]:
    """What follows from the outputs, decided on calibration images, for the network and for the baseline."""
    facts, level = store.facts, settings.data.level
    pooling = MEAN
    if level != "image":
        needed = settings.decision.pooling == "attention"
        seen = logits(exported, store.pixels(TRAIN))[0] if needed else found["trained/calibration"]
        part = TRAIN if needed else CALIBRATION
        pooling = fitted(
            settings.decision.pooling,
            task=facts.task,
            logit=seen,
            target=store.target(part),
            units=store.units(part, level),
        )
    more = {
        "trained": (pooling, found["distance/calibration"]),
        "baseline": (MEAN if pooling.kind == "attention" else pooling, None),
    }
    return {
        variant: fit_decision(
            settings.decision,
            task=facts.task,
            labels=tuple(facts.labels),
            level=level,
            logit=found[f"{variant}/calibration"],
            distance=distance,
            target=store.target(CALIBRATION),
            units=store.units(CALIBRATION, level),
            pooling=own,
        ).to_json()
        for variant, (own, distance) in more.items()
    }


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as safetensors takes them: none that shares memory with another."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}


def _told(seed: int, outcome: Outcome) -> dict[str, object]:
    return {
        "seed": seed,
        **outcome.facts(),
        "validation": {name: round(value, 6) for name, value in outcome.metrics.items()},
    }
