"""What a task accepts, predicts, and says of a target it cannot have."""

import pickle

import pytest
import torch
from torch import Tensor

from lepton_solutions import losses, tasks
from lepton_solutions.errors import UserError
from lepton_solutions.tasks import Task

ALL = [
    tasks.binary(),
    tasks.binary("focal"),
    tasks.binary(label_smoothing=0.1),
    tasks.multilabel(3),
    tasks.multiclass(3),
    tasks.multiclass(4),
    tasks.multiclass(3, "focal"),
    tasks.ordinal(4),
    tasks.regression(),
    tasks.regression("huber"),
    tasks.regression("asymmetric"),
    tasks.reconstruction(),
]
LOGIT = torch.tensor([[0.3, -1.2, 2.0], [0.1, 0.2, -0.7]])


@pytest.mark.parametrize(
    ("task", "output", "target", "expected"),
    [
        (tasks.binary(), LOGIT[:, 0], torch.tensor([1.0, 0.2]), losses.bce),
        (tasks.binary("focal"), LOGIT[:, 0], torch.tensor([1.0, 0.2]), losses.focal),
        (tasks.multilabel(3), LOGIT, torch.tensor([[1, 0, 1], [0, 0, 1]]), losses.bce),
        (tasks.multiclass(3), LOGIT, torch.tensor([2, 0]), losses.cross_entropy),
        (tasks.multiclass(3, "focal"), LOGIT, torch.tensor([2, 0]), losses.focal_classes),
        (tasks.ordinal(4), LOGIT, torch.tensor([3, 0]), losses.ordinal),
        (tasks.regression(), LOGIT[:, 0], torch.tensor([4.0, 5.0]), losses.mse),
        (tasks.regression("huber"), LOGIT[:, 0], torch.tensor([4.0, 5.0]), losses.huber),
        (tasks.regression("asymmetric"), LOGIT[:, 0], torch.tensor([4.0, 5.0]), losses.asymmetric),
        (tasks.reconstruction(), LOGIT, LOGIT + 1, losses.mse),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_a_task_learns_by_its_loss(task: Task, output: Tensor, target: Tensor, expected):
    task.check(target)
    assert (task.loss(output, target) == expected(output, target)).all()


@pytest.mark.parametrize(
    ("task", "plain", "output", "target"),
    [
        (tasks.binary(label_smoothing=0.2), losses.bce, LOGIT[:, 0], torch.tensor([1, 0])),
        (tasks.binary("focal", 0.2), losses.focal, LOGIT[:, 0], torch.tensor([1, 0])),
        (tasks.multilabel(3, 0.2), losses.bce, LOGIT, torch.tensor([[1, 0, 1], [0, 0, 1]])),
        (tasks.multiclass(3, label_smoothing=0.2), losses.cross_entropy, LOGIT, torch.tensor([2, 0])),
        (tasks.multiclass(3, "focal", 0.2), losses.focal_classes, LOGIT, torch.tensor([2, 0])),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_label_smoothing_reaches_the_loss(task: Task, plain, output: Tensor, target: Tensor):
    assert (task.loss(output, target) == plain(output, target, label_smoothing=0.2)).all()
    assert not torch.allclose(task.loss(output, target), plain(output, target))


def test_no_two_tasks_share_a_name():
    assert len({task.name for task in ALL}) == len(ALL)


@pytest.mark.parametrize("task", ALL, ids=lambda task: task.name)
def test_a_task_can_be_sent_to_another_process(task: Task):
    assert pickle.loads(pickle.dumps(task)).name == task.name


def test_predictions_are_probabilities_where_the_task_has_them():
    torch.testing.assert_close(tasks.binary().activation(LOGIT), 1 / (1 + torch.exp(-LOGIT)))
    shares = LOGIT.exp() / LOGIT.exp().sum(1, keepdim=True)
    torch.testing.assert_close(tasks.multiclass(3).activation(LOGIT), shares)
    assert (tasks.regression().activation(LOGIT) == LOGIT).all()
    assert (tasks.reconstruction().activation(LOGIT) == LOGIT).all()


def test_the_ordinal_prediction_sums_to_the_expected_level():
    """A network that knows the level of every row: sure of every level below, and that it is not above."""
    levels = torch.arange(5)
    output = torch.where(levels[:, None] > torch.arange(4), 50.0, -50.0)
    torch.testing.assert_close(tasks.ordinal(5).activation(output).sum(1), levels.float())
    assert tasks.ordinal(5).loss(output, levels).max() < 1e-20


NAN = float("nan")


@pytest.mark.parametrize(
    ("task", "target", "said"),
    [
        (tasks.multiclass(10), [0] * 7 + [12], "target, row 7: found 12, expected a whole number from 0 to 9"),
        (tasks.multiclass(3), [0, -1], "target, row 1: found -1, expected a whole number from 0 to 2"),
        (tasks.multiclass(3), [0.0, 1.5], "target, row 1: found 1.5, expected a whole number from 0 to 2"),
        (tasks.multiclass(3), [NAN, 1.0], "target, row 0: found a missing value, expected a whole number from 0 to 2"),
        (tasks.ordinal(4), [3, 4], "target, row 1: found 4, expected a whole number from 0 to 3"),
        (tasks.binary(), [0, 1, 2], "target, row 2: found 2, expected 0 or 1"),
        (tasks.binary(), [0.0, 1.25], "target, row 1: found 1.25, expected a number from 0 to 1"),
        (tasks.binary(), [[0.0], [1.0]], "target: found shape [2, 1], expected [rows]"),
        (tasks.multiclass(3), [[0], [1]], "target: found shape [2, 1], expected [rows]"),
        (tasks.multilabel(2), [[0, 1], [0, 3]], "target[1], row 1: found 3, expected 0 or 1"),
        (tasks.multilabel(2), [0, 1], "target: found shape [2], expected [rows, 2]"),
        (tasks.multilabel(2), [[0, 1, 0]], "target: found shape [1, 3], expected [rows, 2]"),
        (tasks.regression(), [1.0, NAN], "target, row 1: found a missing value, expected a number"),
        (tasks.regression(), [1.0, float("-inf")], "target, row 1: found -inf, expected a number"),
        (tasks.reconstruction(), [[[1.0, NAN]]], "target[0][1], row 0: found a missing value, expected a number"),
    ],
)
def test_a_target_the_task_cannot_have_is_placed(task: Task, target: list, said: str):
    with pytest.raises(UserError) as caught:
        task.check(torch.tensor(target))
    assert caught.value.message == said


def test_the_row_is_that_of_the_source_and_others_are_counted():
    with pytest.raises(UserError) as caught:
        tasks.multilabel(2).check(torch.tensor([[0, 1], [0, 3], [5, 5]]), torch.tensor([40, 17, 8]))
    assert str(caught.value) == "target[1], row 17: found 3, expected 0 or 1\n\nhint: 1 more row is out of range"


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_a_target_may_be_of_any_number_type(dtype: torch.dtype):
    target = torch.tensor([1, 0]).to(dtype)
    for task, output in ((tasks.binary(), LOGIT[:, 0]), (tasks.multiclass(3), LOGIT), (tasks.ordinal(4), LOGIT)):
        task.check(target)
        assert (task.loss(output, target) == task.loss(output, target.long())).all()


@pytest.mark.parametrize(
    ("task", "target"),
    [
        (tasks.multiclass(2), torch.tensor([0, 1])),
        (tasks.multiclass(4, "focal"), torch.tensor([0, 1])),
        (tasks.ordinal(3), torch.tensor([0, 1])),
        (tasks.multilabel(2), torch.zeros(2, 2)),
    ],
)
def test_a_network_with_another_number_of_outputs_is_refused(task: Task, target: Tensor):
    with pytest.raises(ValueError, match=r"output \[2, 3\]: expected \[b, "):
        task.loss(LOGIT, target)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: tasks.regression("hubert"), "loss: found `hubert`, did you mean `huber`?"),
        (lambda: tasks.multiclass(3, "bce"), "loss: found `bce`, known: `cross_entropy`, `focal`"),
        (lambda: tasks.multiclass(1), "classes: found 1, expected 2 or more"),
        (lambda: tasks.ordinal(1), "levels: found 1, expected 2 or more"),
        (lambda: tasks.multilabel(0), "labels: found 0, expected 1 or more"),
        (lambda: tasks.binary(label_smoothing=1), "label_smoothing: found 1, expected 0 to below 1"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(wrong, said: str):
    with pytest.raises(UserError) as caught:
        wrong()
    assert caught.value.message == said


def test_of_several_labels_some_may_be_unknown_but_of_one_none():
    tasks.multilabel(2).check(torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]]))
    with pytest.raises(UserError, match="row 1: found a missing value"):
        tasks.binary().check(torch.tensor([1.0, torch.nan]))
