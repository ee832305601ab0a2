"""The network about an image: its window, its heads, and a map that is the Grad-CAM of a second implementation."""

import pytest
import torch
from captum.attr import LayerGradCam
from safetensors.torch import save_file
from torch import nn

from lepton_solutions.errors import UserError
from medical.imaging.networks import Form, ImageNetwork, new_network, outputs_for


def form(task: str = "multiclass", outputs: int = 3, size: tuple[int, ...] = (16, 16), **more) -> Form:
    facts = {"name": "small", "width": 4, "dropout": 0.0, "channels": 1, "low": 0.0, "high": 255.0, **more}
    return Form(task=task, outputs=outputs, size=size, **facts)


def network(asked: Form, seed: int = 0) -> ImageNetwork:
    made = new_network(asked, mean=(0.4,) * asked.channels, std=(0.2,) * asked.channels, seed=seed)
    for module in made.modules():  # blocks start as the identity, which would leave most of the network out
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(seed))
    return made.eval()


@pytest.mark.parametrize("size", [(16, 20), (16, 16, 24)])
def test_the_map_is_grad_cam_times_the_places(size):
    asked = form(size=size)
    ours = network(asked)
    pixels = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(1)) * 255
    _, evidence = ours.explained(pixels)
    places = evidence[0, 0].numel()
    for label in range(3):
        theirs = LayerGradCam(ours, ours.trunk).attribute(pixels, target=label)  # captum
        torch.testing.assert_close(evidence[:, label : label + 1], theirs * places, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("task", "labels"), [("binary", 2), ("multiclass", 4), ("multilabel", 3)])
def test_the_mean_of_the_map_is_the_output_less_its_bias(task, labels):
    ours = network(form(task, outputs_for(task, labels)))
    logit, evidence = ours.explained(torch.rand(3, 1, 16, 16) * 255)
    expected = evidence.flatten(2).mean(2) + ours.head.bias
    torch.testing.assert_close(logit.reshape(3, -1), expected)


@pytest.mark.parametrize(
    ("task", "labels", "shape"),
    [("binary", 2, (2,)), ("multiclass", 4, (2, 4)), ("multilabel", 3, (2, 3)), ("ordinal", 4, (2, 3))],
)
def test_each_task_has_its_output(task, labels, shape):
    ours = network(form(task, outputs_for(task, labels)))
    logit, evidence = ours.explained(torch.rand(2, 1, 16, 16) * 255)
    assert logit.shape == shape
    assert evidence.shape[:2] == (2, 1 if task in ("binary", "ordinal") else labels)


def test_levels_begin_in_order_for_every_image():
    logit = network(form("ordinal", 4))(torch.rand(5, 1, 16, 16) * 255)
    assert bool((logit.diff(dim=1) < 0).all())


def test_whole_numbers_give_what_their_floats_give():
    pixels = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
    ours = network(form())
    assert torch.equal(ours(pixels), ours(pixels.float()))


def test_what_lies_outside_the_window_makes_no_difference():
    ours = network(form(low=-160.0, high=240.0))
    scan = torch.rand(1, 1, 16, 16) * 400 - 160
    scan[0, 0, :4] = -160.0
    air = scan.clone()
    air[0, 0, :4] = -1000.0
    assert torch.equal(ours(scan), ours(air))


def test_a_seed_gives_a_network():
    first, same, other = (new_network(form(), mean=(0.4,), std=(0.2,), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.head.weight, same.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_weights_of_another_task_give_the_trunk(tmp_path):
    learned = network(form("multiclass", 3), seed=5)
    save_file(learned.state_dict(), tmp_path / "0.safetensors")
    begun = new_network(form("binary", 1), mean=(0.4,), std=(0.2,), seed=0, weights=str(tmp_path / "0.safetensors"))
    pixels = torch.rand(1, 1, 16, 16) * 255
    assert torch.equal(begun.eval().places(pixels), learned.places(pixels))


def test_weights_under_the_librarys_own_names_are_taken(tmp_path):
    import timm

    theirs = timm.create_model("resnet18", in_chans=1).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    asked = form(name="timm:resnet18", size=(32, 32))
    begun = new_network(asked, mean=(0.0,), std=(1.0,), seed=0, weights=str(tmp_path / "model.safetensors"))
    pixels = torch.rand(1, 1, 32, 32) * 255
    with torch.no_grad():
        torch.testing.assert_close(begun.eval().places(pixels), theirs.forward_features(pixels / 255))


def test_weights_of_another_network_are_refused(tmp_path):
    save_file(network(form(width=8)).state_dict(), tmp_path / "0.safetensors")
    with pytest.raises(UserError, match=r"is of another network: .* tensors are missing or of another shape"):
        new_network(form(), mean=(0.4,), std=(0.2,), seed=0, weights=str(tmp_path / "0.safetensors"))
    (tmp_path / "text.safetensors").write_text("no tensors", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        new_network(form(), mean=(0.4,), std=(0.2,), seed=0, weights=str(tmp_path / "text.safetensors"))
