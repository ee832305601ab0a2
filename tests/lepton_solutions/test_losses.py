"""Each loss against a second implementation, its limits, its gradient, and how it behaves inside a plan."""

import numpy as np
import pytest
import torch
from scipy import special, stats
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn import functional as F

from lepton_solutions import losses

CHANCE = torch.Generator().manual_seed(0)


def draw(*shape: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=CHANCE, dtype=torch.float64)


LOGIT, NUMBERS, OTHERS, SCORES = draw(40), draw(40, 3), draw(40, 3), draw(40, 5)
CLASS = torch.arange(40) % 5
YES = (CLASS < 2).double()
SHARE = torch.rand(40, generator=CHANCE, dtype=torch.float64)
CASES = {
    "mse": (losses.mse, NUMBERS, OTHERS),
    "huber": (losses.huber, NUMBERS, OTHERS),
    "asymmetric": (losses.asymmetric, NUMBERS, OTHERS),
    "reconstruction": (losses.reconstruction, NUMBERS, OTHERS),
    "bce": (losses.bce, LOGIT, SHARE),
    "bce of members": (losses.bce, NUMBERS, YES),
    "focal": (losses.focal, LOGIT, SHARE),
    "cross_entropy": (losses.cross_entropy, SCORES, CLASS),
    "focal_classes": (losses.focal_classes, SCORES, CLASS),
    "ordinal": (losses.ordinal, SCORES[:, :4], CLASS),
}


def close(found: Tensor, expected: np.ndarray | Tensor, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), rtol=rtol, atol=rtol)


# -- against a second implementation ---------------------------------------------------------------------------------


def test_squared_error_is_the_mean_over_a_row():
    close(losses.mse(NUMBERS, OTHERS), ((NUMBERS.numpy() - OTHERS.numpy()) ** 2).mean(1))
    images = draw(4, 2, 3, 3)
    close(losses.reconstruction(images, 0 * images), (images.numpy() ** 2).mean((1, 2, 3)))


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
def test_huber_is_that_of_scipy(delta: float):
    expected = special.huber(delta, (NUMBERS - OTHERS).numpy()).mean(1)
    close(losses.huber(NUMBERS, OTHERS, delta=delta), expected)


@pytest.mark.parametrize(("early", "late"), [(1.0, 1.3), (1.0, 9.0), (3.0, 1.0)])
def test_what_the_asymmetric_loss_leads_to_is_the_expectile(early: float, late: float):
    best = torch.tensor(stats.expectile(LOGIT.numpy(), early / (early + late)), requires_grad=True)
    losses.asymmetric(best.expand(40), LOGIT, early=early, late=late).mean().backward()
    assert best.grad is not None and best.grad.item() == pytest.approx(0, abs=1e-9)  # convex, so this is the minimum


def test_late_costs_more_than_early_by_default():
    early, late = losses.asymmetric(torch.tensor([40.0, 60.0]), torch.tensor([50.0, 50.0])).tolist()
    assert late == pytest.approx(13 / 10 * early)


def test_binary_cross_entropy_is_that_of_scikit_learn():
    expected = log_loss(YES.numpy(), special.expit(LOGIT.numpy()))
    assert losses.bce(LOGIT, YES).mean().item() == pytest.approx(expected, rel=1e-12)


def test_a_share_weighs_the_losses_of_one_and_zero():
    mixed = SHARE * losses.bce(LOGIT, torch.ones(40)) + (1 - SHARE) * losses.bce(LOGIT, torch.zeros(40))
    close(losses.bce(LOGIT, SHARE), mixed)
    close(losses.bce(LOGIT, YES, label_smoothing=0.2), losses.bce(LOGIT, YES * 0.8 + 0.1))


def test_members_are_trained_each_by_itself_bit_for_bit():
    members, goal = NUMBERS.float(), SHARE.float()
    goals = goal.unsqueeze(1).expand_as(members)
    expected = F.binary_cross_entropy_with_logits(members, goals, reduction="none").mean(1)
    assert (losses.bce(members, goal) == expected).all()
    close(losses.focal(NUMBERS, YES), np.mean([losses.focal(NUMBERS[:, k], YES).numpy() for k in range(3)], axis=0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_closed_form_with_softened_targets(smoothing: float):
    soft = np.eye(5)[CLASS] * (1 - smoothing) + smoothing / 5
    expected = -(soft * special.log_softmax(SCORES.numpy(), axis=1)).sum(1)
    close(losses.cross_entropy(SCORES, CLASS, label_smoothing=smoothing), expected)
    close(losses.focal_classes(SCORES, CLASS, gamma=0, label_smoothing=smoothing), expected)


def test_one_class_for_every_step_of_a_sequence():
    sequence = torch.stack([SCORES, SCORES], dim=2)
    target = torch.stack([CLASS, (CLASS + 1) % 5], dim=1)
    share = torch.tensor([1.0, 2.0, 0.5, 3.0, 0.1])
    for function, more in ((losses.cross_entropy, {}), (losses.focal_classes, {"alpha": share})):
        first, second = (function(SCORES, target[:, step], **more) for step in (0, 1))
        close(function(sequence, target, **more), (first + second) / 2)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_the_focal_losses_are_the_closed_form_of_the_paper(gamma: float):
    yes = special.expit(LOGIT.numpy())
    certain = np.where(YES == 1, yes, 1 - yes)
    expected = -np.where(YES == 1, 0.25, 0.75) * (1 - certain) ** gamma * np.log(certain)
    close(losses.focal(LOGIT, YES, gamma=gamma, alpha=0.25), expected, rtol=1e-8)  # softplus is linear beyond 20
    certain = special.softmax(SCORES.numpy(), axis=1)[np.arange(40), CLASS]
    expected = -((1 - certain) ** gamma) * np.log(certain)
    close(losses.focal_classes(SCORES, CLASS, gamma=gamma), expected)


@pytest.mark.slow  # the import alone takes seconds
@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_the_focal_losses_are_those_of_monai(gamma: float):
    from monai.losses import FocalLoss

    alone, whole = LOGIT[:, None], YES[:, None]
    monai = FocalLoss(gamma=gamma, alpha=0.25, reduction="none")(alone, whole)[:, 0]
    close(losses.focal(LOGIT, YES, gamma=gamma, alpha=0.25), monai, rtol=1e-6)  # MONAI computes in float32
    share = torch.tensor([1.0, 2.0, 0.5, 3.0, 0.1])
    monai = FocalLoss(gamma=gamma, use_softmax=True, to_onehot_y=True, weight=share, reduction="none")
    expected = monai(SCORES[:, :, None], CLASS[:, None, None])[:, :, 0].sum(1)
    close(losses.focal_classes(SCORES, CLASS, gamma=gamma, alpha=share), expected, rtol=1e-6)


@pytest.mark.parametrize(("certain", "times"), [(0.9, 100), (1 - 1 / np.sqrt(1000), 1000)])
def test_focal_lowers_the_loss_of_an_easy_row_as_published(certain: float, times: int):
    """Lin et al. 2017, section 3.2: 100 times at .9 and 1000 times at about .968, with gamma 2."""
    logit = torch.tensor([special.logit(certain)])
    assert (losses.bce(logit, torch.ones(1)) / losses.focal(logit, torch.ones(1))).item() == pytest.approx(times)


def test_the_ordinal_loss_is_the_closed_form_of_coral():
    logit, level = SCORES[:, :4].numpy(), CLASS.numpy()
    above = level[:, None] > np.arange(4)
    expected = -(special.log_expit(logit) * above + (special.log_expit(logit) - logit) * (1 - above)).sum(1)
    close(losses.ordinal(SCORES[:, :4], CLASS), expected / 4)


# -- limits ----------------------------------------------------------------------------------------------------------


def test_huber_with_a_huge_delta_is_half_the_squared_error():
    close(losses.huber(NUMBERS, OTHERS, delta=1e6), losses.mse(NUMBERS, OTHERS) / 2)


def test_huber_with_a_tiny_delta_is_the_absolute_error():
    close(losses.huber(NUMBERS, OTHERS, delta=1e-9) / 1e-9, (NUMBERS - OTHERS).abs().mean(1), rtol=1e-8)


def test_asymmetric_with_equal_weights_is_the_squared_error():
    close(losses.asymmetric(NUMBERS, OTHERS, early=1, late=1), losses.mse(NUMBERS, OTHERS))


def test_focal_without_focus_is_cross_entropy():
    close(losses.focal(LOGIT, SHARE, gamma=0), losses.bce(LOGIT, SHARE), rtol=1e-8)  # softplus is linear beyond 20


def test_two_classes_and_two_levels_are_yes_or_no():
    two = torch.stack([torch.zeros(40), LOGIT], dim=1)
    close(losses.cross_entropy(two, YES), losses.bce(LOGIT, YES))
    close(losses.focal_classes(two, YES, label_smoothing=0.1), losses.focal(LOGIT, YES, label_smoothing=0.1))
    close(losses.ordinal(LOGIT[:, None], YES), losses.bce(LOGIT, YES))


@pytest.mark.parametrize("name", ["bce", "focal", "cross_entropy", "focal_classes", "ordinal"])
def test_a_certain_row_costs_nothing_and_a_wrong_one_has_a_finite_slope(name: str):
    function = CASES[name][0]
    far = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    if name in ("cross_entropy", "focal_classes"):
        output = torch.stack([torch.zeros(4), far], dim=1)
    else:
        output = far[:, None] if name == "ordinal" else far
    loss = function(output, torch.tensor([1, 0, 0, 1]))
    loss.sum().backward()
    assert loss.tolist() == [0, 0, 1e4, 1e4]
    assert far.grad is not None and far.grad.tolist() == [0, 0, 1, -1]


# -- gradients and plans ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_finite_differences(name: str):
    function, output, target = CASES[name]
    assert torch.autograd.gradcheck(lambda x: function(x, target), output.clone().requires_grad_(True))


@pytest.mark.parametrize("name", CASES)
def test_a_loss_compiles_in_one_piece(name: str):
    function, output, target = CASES[name]
    torch._dynamo.reset()
    # The eager backend: whether anything asks for a value or branches on it is decided before code is generated.
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    assert (compiled(output, target) == function(output, target)).all()


@pytest.mark.parametrize("name", CASES)
def test_half_precision_ends_with_the_output(name: str):
    function, output, target = CASES[name]
    half = output.bfloat16().requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16):
        found = function(half, target)
    assert found.dtype == torch.float32
    close(found.detach(), function(half.detach().float(), target), rtol=1e-6)
    found.sum().backward()
    assert half.grad is not None and half.grad.dtype == torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", CASES)
def test_a_cuda_graph_replays_a_loss(name: str):
    function, output, target = CASES[name]
    x, y = output.float().cuda(), target.cuda()
    function(x, y)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = function(x, y)
    graph.replay()
    close(found.cpu(), function(output.float(), target), rtol=1e-5)


# -- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "output", "target"),
    [
        ("mse", (8, 1), (8,)),
        ("huber", (8,), (8, 1)),
        ("asymmetric", (8, 1), (8,)),
        ("reconstruction", (8, 3, 4), (8, 4)),
        ("bce", (8,), (8, 1)),
        ("bce", (8, 3), (7,)),
        ("focal", (8, 3), (8, 2)),
        ("cross_entropy", (8, 3), (8, 1)),
        ("cross_entropy", (8,), (8,)),
        ("focal_classes", (8, 3), (3,)),
        ("ordinal", (8, 3), (8, 3)),
        ("ordinal", (8,), (8,)),
    ],
)
def test_shapes_that_would_only_broadcast_are_refused(name: str, output: tuple, target: tuple):
    with pytest.raises(ValueError, match="against target"):
        CASES[name][0](torch.zeros(output), torch.zeros(target))


@pytest.mark.parametrize("name", CASES)
def test_every_row_has_a_loss_and_none_have_none(name: str):
    function, output, target = CASES[name]
    assert function(output, target).shape == (40,)
    assert function(output[:0], target[:0]).shape == (0,)


@pytest.mark.parametrize("function", [losses.focal, losses.focal_classes])
def test_a_focus_with_an_infinite_slope_is_refused(function):
    with pytest.raises(ValueError, match=r"gamma: found 0\.5"):
        function(SCORES, CLASS, gamma=0.5)


def test_labels_that_are_not_known_take_no_part():
    target = (OTHERS > 0).double()
    torch.testing.assert_close(losses.bce_of_known(NUMBERS, target), losses.bce(NUMBERS, target))
    target[:, 1] = torch.nan
    output = NUMBERS.clone().requires_grad_()
    found = losses.bce_of_known(output, target)
    torch.testing.assert_close(found, losses.bce(NUMBERS[:, [0, 2]], target[:, [0, 2]]))
    found.sum().backward()
    assert output.grad is not None
    assert bool((output.grad[:, 1] == 0).all())


def test_a_row_of_which_nothing_is_known_teaches_nothing():
    output = NUMBERS[:2].clone().requires_grad_()
    losses.bce_of_known(output, torch.full((2, 3), torch.nan)).sum().backward()
    assert output.grad is not None
    assert output.grad.tolist() == [[0.0] * 3] * 2
