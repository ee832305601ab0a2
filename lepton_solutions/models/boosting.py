"""What do boosted trees make of the same rows? LightGBM, trained so that the exported trees decide every row alike.

LightGBM compares doubles and ONNX trees compare floats, so a row just above a threshold could fall to the other side
after export. The mend is at the source: all values are float32, and after training each numeric threshold becomes the
largest float32 not above it, which decides every float32 as before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, ModelProto, TensorProto, helper
from safetensors.numpy import load_file, save_file

from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.models.graphs import assemble, model_of

if TYPE_CHECKING:
    from lightgbm import Booster

# onnxmltools unrolls a split on categories into one node for each of up to 32 and walks the tree by recursion: deeper
# trees could pass Python's limit of 1000.
MANY = 5_000  # rows from which trees may be larger
MOST_ROUNDS, PATIENCE = 2000, 50
DEPTH = 20
ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold: numbers no larger than this are zero to it


@dataclass(frozen=True, eq=False)
class Boosting:
    """Boosted trees. text: LightGBM's own; fill: float32 [p], what a missing value counts as, NaN: trees decide."""

    text: str
    fill: npt.NDArray[np.float32]

    @cached_property
    def booster(self) -> Booster:
        import lightgbm  # here because it takes seconds

        return lightgbm.Booster(model_str=self.text)

    def logit(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Log-odds of the positive class, [n]."""
        logit = self.booster.predict(_values(rows, self.fill), raw_score=True, num_threads=1)
        return np.asarray(logit, np.float64)

    def graph(self) -> ModelProto:
        """The same trees as ONNX; leaves are summed in float32."""
        p, q = len(self.fill), self.booster.num_feature() - len(self.fill)
        body, parts = [], []
        if p:
            body += ["unknown = IsNaN (numeric)", "known = Where (unknown, fill, numeric)"]
            parts += ["known"]
        if q:
            body += ["levels = Cast <to = 1> (codes)"]
            parts += ["levels"]
        body += [f"values = Concat <axis = 1> ({', '.join(parts)})"]
        body += ["sums = ai.onnx.ml.TreeEnsembleRegressor (values)", "logit = Reshape (sums, flat)"]
        arrays: dict[str, npt.NDArray[np.generic]] = {"flat": np.array([-1])} | ({"fill": self.fill} if p else {})
        return assemble(body, arrays, p=p, q=q, attributes={"sums": _trees(self.text)})

    def save(self, folder: Path) -> None:
        """Writes `trees.txt` and `fill.safetensors`; the folder is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trees.txt").write_text(self.text, encoding="utf-8")
        save_file({"fill": self.fill}, folder / "fill.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Boosting:
        """Raises FileNotFoundError where `save` has not written."""
        return cls((folder / "trees.txt").read_text(encoding="utf-8"), load_file(folder / "fill.safetensors")["fill"])


@dataclass(frozen=True)
class Trees:
    """How many trees of which shape.

    rounds: trees, or the fewest where validation rows stop them. leaves: at least 2, per tree. leaf_rows: the smallest.
    feature_share: of the columns, drawn for each tree; split_share: of those, drawn again for each split; row_share:
    drawn for each tree; all in (0, 1]. l2: penalty on leaf values. smooth: rows of its parent that a leaf counts as.
    bins: of a column, between which splits may lie; where a rule cuts sharply, more find its edge.
    """

    rounds: int = 200
    learning_rate: float = 0.03
    leaves: int = 7
    leaf_rows: int = 10
    feature_share: float = 0.5
    split_share: float = 1.0
    row_share: float = 0.8
    l2: float = 1.0
    smooth: float = 0.0
    bins: int = 255


def trees_for(rows: int) -> Trees:
    """Small trees for few rows; for many, larger ones that see few columns at a split and are smoothed.

    Settled on folds of seeds from 100 on: German credit for the first; Taiwan and Give Me Some Credit for the second,
    which gained .0006 and .0002 AUC there.
    """
    if rows < MANY:
        return Trees()
    return Trees(
        rounds=300,
        learning_rate=0.02,
        leaves=16,
        leaf_rows=100,
        feature_share=1.0,
        split_share=0.3,
        row_share=0.5,
        l2=10.0,
        smooth=50.0,
    )


def fit_boosting(
    rows: Rows,
    target: npt.NDArray[np.int8],
    weight: npt.NDArray[np.float64],
    *,
    columns: Columns,
    seed: int,
    validation: tuple[Rows, npt.NDArray[np.int8], npt.NDArray[np.float64]] | None = None,
    trees: Trees | None = None,
    threads: int = 1,
) -> Boosting:
    """Boosted trees on the numbers and, as categories, the codes. The same seed gives the same text.

    With `validation`, trees are added until its weighted log loss has not fallen for `PATIENCE` trees, up to
    `MOST_ROUNDS`; but not fewer than `trees.rounds` are kept, because a hundred rows stop too early by luck. Without it
    there are `trees.rounds` of them. trees: None takes `trees_for` the number of rows. A value missing in a column that
    had none missing in training counts as the column's median: LightGBM itself would read it as 0.
    """
    import lightgbm

    trees = trees or trees_for(len(rows))
    kept = weight > 0
    # The penalties count in rows, so weights of any scale must weigh one row on average.
    rows, target, weight = rows.take(kept), target[kept], weight[kept] / weight[kept].mean()
    absent = np.isnan(rows.numeric)
    fill = np.full(rows.numeric.shape[1], np.nan, np.float32)
    for j in np.flatnonzero(~absent.any(axis=0)):
        fill[j] = np.quantile(rows.numeric[:, j], 0.5, weights=weight, method="inverted_cdf")
    settings = {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": trees.learning_rate,
        "num_leaves": trees.leaves,
        "max_depth": DEPTH,
        "min_data_in_leaf": trees.leaf_rows,
        "min_data_per_group": trees.leaf_rows,
        "feature_fraction": trees.feature_share,
        "feature_fraction_bynode": trees.split_share,
        "bagging_fraction": trees.row_share,
        "bagging_freq": 1,
        "lambda_l2": trees.l2,
        "path_smooth": trees.smooth,
        "max_bin": trees.bins,
        "bin_construct_sample_cnt": max(len(rows), 1),  # a sample could miss the missing values of a column
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbosity": -1,
    }
    p, q = len(columns.numeric), len(columns.categories)
    places = list(range(p, p + q))
    data = lightgbm.Dataset(_values(rows, fill), target, weight=weight, categorical_feature=places, params=settings)
    booster = lightgbm.Booster(settings, data)
    if validation is not None:
        judge = data.create_valid(_values(validation[0], fill), validation[1], weight=validation[2], params=settings)
        booster.add_valid(judge, "validation")
    best, least = trees.rounds, np.inf
    for grown in range(1, (trees.rounds if validation is None else MOST_ROUNDS) + 1):
        finished = booster.update()
        loss = booster.eval_valid()[0][2] if validation is not None and grown >= trees.rounds else np.inf
        if loss < least:
            best, least = grown, loss
        if finished or grown - best >= PATIENCE:
            break
    return Boosting(float_thresholds(booster.model_to_string(num_iteration=best)), fill)


def float_thresholds(text: str) -> str:
    """LightGBM's text with every numeric threshold as the largest float32 not above it; exact for float32 values.

    The sizes of the trees, which no longer hold, and the training parameters, which name the threads, are left out.
    """
    text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^parameters:.*?^end of parameters\n", "", text, flags=re.MULTILINE | re.DOTALL)
    # In a categorical split (bit 0 of its decision type) the threshold is an index into the sets of categories.
    return re.sub(r"^threshold=(.*)\ndecision_type=(.*)$", _float_line, text, flags=re.MULTILINE)


def _float_line(found: re.Match[str]) -> str:
    kinds = [int(kind) for kind in found[2].split()]
    values = [
        value if kind & 1 else repr(_float_below(float(value)))
        for value, kind in zip(found[1].split(), kinds, strict=True)
    ]
    return f"threshold={' '.join(values)}\ndecision_type={found[2]}"


def _float_below(value: float) -> float:
    largest = float(np.finfo(np.float32).max)
    near = np.float32(min(value, largest))  # a threshold is infinite where only a missing value goes right
    # float() because numpy would compare in float32, where the two are always equal. The threshold just below zero is
    # left out of its own side, since LightGBM reads that very number as zero.
    inside = float(near) <= value and near != -ZERO
    return float(near if inside else np.nextafter(near, np.float32(-np.inf)))


def _values(rows: Rows, fill: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What the trees see: numbers, then codes, float32 [n, p + q]."""
    known = np.where(np.isnan(rows.numeric), fill, rows.numeric)
    return np.hstack([known, rows.codes.astype(np.float32)])


def trees_graph(text: str, given: str, found: str) -> ModelProto:
    """LightGBM's trees as a graph of their own: float32 [n, columns] to the raw sums [n, outputs], in float32."""
    booster = _plain(text)
    node = helper.make_node("TreeEnsembleRegressor", [given], [found], domain="ai.onnx.ml")
    node.attribute.extend(_trees(text))
    columns = helper.make_tensor_value_info(given, TensorProto.FLOAT, ["n", booster.num_feature()])
    sums = helper.make_tensor_value_info(found, TensorProto.FLOAT, ["n", _outputs(text)])
    return model_of(helper.make_graph([node], "trees", [columns], [sums]))


def _trees(text: str) -> list[AttributeProto]:
    """The attributes of ONNX's TreeEnsembleRegressor that sums the leaves, of each output by its own trees."""
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    plain, outputs = _plain(text), _outputs(text)
    values = [("values", FloatTensorType([None, plain.num_feature()]))]
    model = convert_lightgbm(plain, initial_types=values)
    trees = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    assert len(trees) == 1
    attributes = {one.name: one for one in trees[0].attribute}
    if outputs > 1:  # LightGBM grows a tree an output in turn
        tree = [number % outputs for number in attributes["target_treeids"].ints]
        attributes["target_ids"].CopyFrom(helper.make_attribute("target_ids", tree))
        attributes["n_targets"].CopyFrom(helper.make_attribute("n_targets", outputs))
    return list(attributes.values())


def _plain(text: str) -> Booster:
    """The same trees as a regression, whose output is their sum where a classifier has probabilities."""
    from lightgbm import Booster

    text = re.sub(r"^objective=.*$", "objective=regression", text, flags=re.MULTILINE)
    text = re.sub(r"^(num_class|num_tree_per_iteration)=.*$", r"\1=1", text, flags=re.MULTILINE)
    return Booster(model_str=text)


def _outputs(text: str) -> int:
    found = re.search(r"^num_tree_per_iteration=(\d+)$", text, flags=re.MULTILINE)
    assert found is not None
    return int(found[1])
