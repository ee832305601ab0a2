"""The exported graph: raw pictures of any size and spacing give in ONNX Runtime what the networks give in PyTorch."""

import numpy as np
import onnxruntime
import pytest
import torch

from lepton_solutions.models.resample import regrid, resize
from medical.imaging.exported import OUTPUTS, Exported, Grid, graph, on_grid
from medical.imaging.foreign import Foreign
from medical.imaging.networks import Form, new_network


def exported(size: tuple[int, ...], grid: Grid, *, members: int = 1, flips: tuple[int, ...] = ()) -> Exported:
    form = Form("small", 4, 0.0, "multiclass", 3, 1, size, -160.0, 240.0)
    networks = [new_network(form, mean=(0.4,), std=(0.2,), seed=seed).eval() for seed in range(members)]
    foreign = Foreign(2, networks[0].head.weight.shape[1], len(size))
    foreign.centres.copy_(torch.rand(foreign.centres.shape, generator=torch.Generator().manual_seed(0)))
    return Exported(networks, foreign, grid, flips=flips).eval()


def pictures(rows: int, space: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(rows, 1, *space, generator=torch.Generator().manual_seed(rows)) * 600 - 300


@pytest.mark.parametrize(
    ("size", "grid", "more", "spaces"),
    [
        ((16, 20), Grid((16, 20), None, True, 0.0), {"members": 2, "flips": (-1,)}, [(16, 20), (40, 33), (9, 7)]),
        ((12, 16, 14), Grid((12, 16, 14), (2.0, 1.0, 1.5), True, -1000.0), {}, [(12, 16, 14), (5, 30, 21)]),
    ],
)
def test_the_graph_answers_as_the_module_for_any_size(size, grid, more, spaces):
    module = exported(size, grid, **more)
    session = onnxruntime.InferenceSession(graph(module), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == list(OUTPUTS)
    assert [place.name for place in session.get_inputs()] == ["pixels", *(["spacing"] if module.spaced else [])]
    for rows in (1, 3):
        for space in spaces:
            pixels = pictures(rows, space)
            spacing = torch.rand(rows, len(space)) * 2 + 0.5 if module.spaced else None
            with torch.no_grad():
                expected = module(pixels, spacing)
            feed = {"pixels": pixels.numpy()} | ({} if spacing is None else {"spacing": spacing.numpy()})
            for found, wanted in zip(session.run(None, feed), expected, strict=True):
                np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)  # float32, another order of sums


def test_without_resampling_the_graph_takes_its_size_only():
    module = exported((16, 16), Grid((16, 16), None, False, 0.0))
    session = onnxruntime.InferenceSession(graph(module), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["n", 1, 16, 16]
    with pytest.raises(Exception, match="Got: 17 Expected: 16"):
        session.run(None, {"pixels": np.zeros((1, 1, 17, 16), np.float32)})


def test_stored_pixels_give_the_answer_of_their_pictures():
    grid = Grid((16, 16), (1.0, 1.5), True, -1000.0)
    module, pixels, spacing = exported((16, 16), grid), pictures(2, (30, 11)), torch.tensor([[0.5, 2.0], [1.0, 1.0]])
    stored = regrid(pixels, spacing, target=(1.0, 1.5), size=(16, 16), fill=-1000.0)
    with torch.no_grad():
        for found, expected in zip(module.answered(stored), module(pixels, spacing), strict=True):
            assert torch.equal(found, expected)


def test_pictures_are_stretched_where_no_spacing_is_asked_for():
    pixels = pictures(1, (30, 11))
    assert torch.equal(on_grid(pixels, None, Grid((8, 8), None, True, 0.0)), resize(pixels, (8, 8)))


def test_the_ensemble_is_the_mean_of_its_members():
    grid, pixels = Grid((16, 16), None, False, 0.0), pictures(2, (16, 16))
    module = exported((16, 16), grid, members=3)
    with torch.no_grad():
        logit, evidence = module.explained(pixels)
        alone = [network.explained(pixels) for network in module.members]
    torch.testing.assert_close(logit, torch.stack([one for one, _ in alone]).mean(0))
    torch.testing.assert_close(evidence, torch.stack([one for _, one in alone]).mean(0))


def test_with_flips_a_mirrored_picture_gives_the_same_answer_and_the_mirrored_map():
    module, pixels = exported((16, 16), Grid((16, 16), None, False, 0.0), flips=(-1, -2)), pictures(1, (16, 16))
    with torch.no_grad():
        (logit, evidence), (mirrored, evidence_mirrored) = module.explained(pixels), module.explained(pixels.flip(-1))
    torch.testing.assert_close(mirrored, logit, atol=1e-5, rtol=0)
    torch.testing.assert_close(evidence_mirrored.flip(-1), evidence, atol=1e-4, rtol=1e-4)
