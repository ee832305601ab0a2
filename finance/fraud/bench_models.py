"""Who finds the frauds of the Handbook's payments, in `lepton bench fraud`: published features, and ours.

Fold k of four learns from 7 days that begin on 2018-07-25 less 7k days, waits 7 days and is judged on the 7 after. The
book's own four folds begin with fold 0 and go the other way, a week later each. All choices (trees, networks, windows,
which columns detectors read) were made on folds 4 to 7, whose test days are earlier than those of all others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from finance.fraud.bench_learners import (
    COMBINED,
    PLAIN,
    RANDOM,
    WITH_LAST,
    Learners,
    networks,
    readers_of_last,
    rivals,
    with_last,
)  # fmt: skip
from finance.fraud.budget import card_precision, closed, days_of
from finance.fraud.features import Definition, names
from finance.fraud.history import histories
from finance.fraud.inputs import definition_of
from finance.fraud.members import LABELS
from finance.fraud.parts import Fold, Period, periods
from finance.fraud.rolling import COLUMNS, by_histories
from finance.fraud.settings import Fraud
from finance.fraud.sources import collect
from finance.fraud.transactions import DAY, FRAUD, UNIT, Transactions, Whole
from lepton_solutions.bench import Cell, Row, interval
from lepton_solutions.config import read_settings
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.prepare import Sample

PUBLISHED, OWN = "published features, 7 days", "our features, 60 days"
SEEDS = (0, 1, 2, 3, 4)
NETWORKS, RIVALS, LAST_PAYMENTS = "networks and trees", "rivals", "last payments"
CELLS = [
    *(Cell(PUBLISHED, group, seed) for seed in SEEDS for group in (NETWORKS, RIVALS)),
    *(Cell(OWN, NETWORKS, seed) for seed in SEEDS),
    Cell(OWN, RIVALS, 0),
    Cell(PUBLISHED, LAST_PAYMENTS, 0),
]
FIRST = int(np.datetime64("2018-07-25", "us").astype(np.int64))  # day from which fold 0 learns
FOLDS, WEEK, BUDGET = 4, 7, 100
LAST = FIRST + (FOLDS - 1) * WEEK * DAY  # as FIRST, of the book's last fold
LEARNED = {PUBLISHED: 7, OWN: 60}  # days before the delay
AT_TERMINAL, COMPROMISED = 2, 28  # the scenario, and its days (Le Borgne et al. 2022, chapter 3.2)
KNOWABLE = "what can be known"
NAMES = LABELS | {PLAIN: PLAIN, KNOWABLE: KNOWABLE, RANDOM: "Random forest", COMBINED: "Combination"}
NAMES |= {label: label for label in WITH_LAST.values()}
OURS = ("mlp", PLAIN, "autoencoder", "variational", "one_class", COMBINED,
        "sequence", WITH_LAST["mlp"], WITH_LAST[COMBINED])  # fmt: skip
METRICS = ("auc", "average_precision", "card_precision_100", "auc of what can be known")
BOOKS_WEEKS, FOLD_0 = ", the book's weeks", ", fold 0"
# Which of the seven folds, the latest first, a figure is the mean of.
OVER = {"": slice(FOLDS - 1, None), FOLD_0: slice(FOLDS - 1, FOLDS), BOOKS_WEEKS: slice(FOLDS)}
# who, over which folds, the first three METRICS
BOOK = [
    ("logistic regression", BOOKS_WEEKS, (0.868, 0.623, 0.297)),
    ("random forest", BOOKS_WEEKS, (0.870, 0.678, 0.299)),
    ("XGBoost", BOOKS_WEEKS, (0.869, 0.687, 0.303)),
    ("feed-forward network", BOOKS_WEEKS, (0.876, 0.675, 0.303)),
    ("LSTM", BOOKS_WEEKS, (0.876, 0.665, 0.297)),
    ("autoencoder, unsupervised", FOLD_0, (0.836, 0.18, 0.217)),
]
ABOUT = """
Payments of the Fraud Detection Handbook (Le Borgne et al. 2022), 1,754,155 of 4,990 cards at 10,000 terminals over 183
days. Fold k = 0 to 3 learns from the 7 days that begin on 2018-07-25 less 7k days, waits 7 days for outcomes and is
judged on the 7 days after. Of each test day, cards whose fraud was known 7 days before are left out. AUC and average
precision are of transactions; card precision@100: a card counts by its day's highest score, the 100 highest are looked
at, a found card leaves the days that follow; the mean over days.

- A figure is the mean over the four folds; beside it stands fold 0 alone, the single split of the book's chapter 3, and
  `the book's weeks`, the four that its chapters 5 to 7 were judged on: they begin with fold 0 and go forward, so its
  published figures are to be read beside that column. Intervals are Student's over 5 seeds; of our features the random
  forest, and what is measured with it, has one seed.
- `published features, 7 days`: the book's 15 features and its 7 days of training. `our features, 60 days`: the
  pipeline's own histories (`conf/finance/fraud.yaml`), learned from the 60 days before the delay. In each block every
  model reads the same columns of the same rows; detectors read those of the payment itself.
- Logistic regression: scikit-learn's on standardised columns, with an indicator for what is missing, C = 1 (of .01, 1
  and 100 on folds 4 to 7; weaker made no difference). It repeats the book's figures of both of its splits, so folds,
  features and counting are the same.
- Random forest: 100 trees of full depth (deeper was better on folds 4 to 7); network and forest see all
  frauds and at most 100,000 good rows, which then weigh more; LightGBM and logistic regression see all.
- The combination is the mean log-odds of the network with anomaly scores and LightGBM, as the pipeline ships.
- `with the last payments`: 30 columns more, of the card's last 10 payments of 30 days the amount, how many hours ago,
  and from 7 days on whether it was a fraud; one seed. The recurrent network reads them one by one
  (`model.sequence=10`), for the others they are columns; this combination is of all three. The book's LSTM reads the
  last payments with all of their features.
- `what can be known` finds every fraud but those at a terminal where none is known yet. The simulation makes these like
  any other payment, and they are a fifth of all: a model that finds all others and leaves these to chance has this AUC
  and this card precision, so what lies above it is luck. `AUC known` is a model's AUC with these frauds left out:
  networks, trees, a recurrent network and their means are nearly alike in it, and differ by chance in the rest.
- Models were fitted on one core of a machine that did other work besides, so their seconds are rather too many;
  features, answers and equality were measured while it did nothing else.
- Everything was chosen on folds 4 to 7. Folds 0 to 3 and the weeks after are read by this command alone.
"""


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """AUC, average precision and card precision of every model of a group in every fold."""
    settings = read_settings("finance/fraud", ["data=handbook", f"seed={seed}"], Fraud)
    transactions = collect(settings.data).transactions
    columns, numeric = _columns(task, settings, transactions)
    if model == LAST_PAYMENTS:
        columns, numeric = with_last(columns, numeric, transactions)
    # What the scores bring is measured where training takes seconds.
    learners: dict[str, Learners] = {
        NETWORKS: partial(networks, plain=task == PUBLISHED),
        RIVALS: rivals,
        LAST_PAYMENTS: readers_of_last,
    }
    known = knowable(transactions)
    found: dict[str, list[tuple[float, ...]]] = {}
    seconds: dict[str, list[float]] = {}
    for fold in periods(LAST, train=WEEK, delay=WEEK, test=WEEK, folds=2 * FOLDS - 1):
        fitted = Period(fold.train.end - LEARNED[task] * DAY, fold.train.end).rows(transactions, known=fold.test.begin)
        rows = asked(transactions, fold)
        train = Sample(_rows(numeric[fitted]), transactions.label[fitted], np.ones(len(fitted)))
        stake = transactions.amount[fitted] / UNIT
        start = time.perf_counter()
        for name, score in learners[model](settings, columns, train, _rows(numeric[rows]), stake):
            found.setdefault(name, []).append(figures(transactions, rows, score, fold, known))
            seconds.setdefault(name, []).append(time.perf_counter() - start)
            start = time.perf_counter()
        if model == RIVALS:
            best = known[rows].astype(np.float64)
            found.setdefault(KNOWABLE, []).append(figures(transactions, rows, best, fold, known))
            seconds.setdefault(KNOWABLE, []).append(0.0)
    return {"figures": found, "fit_seconds": {name: mean(spent) for name, spent in seconds.items()}}


def asked(transactions: Transactions, fold: Fold) -> Whole:
    """Test rows, without cards whose fraud was known when the day began."""
    rows = fold.test.rows(transactions)
    return rows[~closed(transactions, rows, begin=fold.test.begin, delay=WEEK * DAY)]


def figures(
    transactions: Transactions, rows: Whole, score: NDArray[np.float64], fold: Fold, known: NDArray[np.bool_]
) -> tuple[float, ...]:
    """In the order of METRICS. rows: as `asked` gives them; score: of each. known: as `knowable`, of all."""
    judged = transactions.take(rows)
    fraud = judged.label == FRAUD
    days = days_of(judged, score, begin=fold.test.begin, end=fold.test.end)
    told = known[rows] | ~fraud
    return (
        float(roc_auc_score(fraud, score)),
        float(average_precision_score(fraud, score)),
        card_precision(days, BUDGET),
        float(roc_auc_score(fraud[told], score[told])),
    )


def knowable(transactions: Transactions) -> NDArray[np.bool_]:
    """Frauds that anything gives away, [n]: all but those at a terminal that was compromised so lately that no fraud
    there is known yet. The simulation makes them like any other payment, so nothing can tell them from good ones.
    """
    assert transactions.scenario is not None
    terminals = Definition(("terminal",), (COMPROMISED * DAY,), delay=WEEK * DAY)
    known = dict(zip(names(terminals), histories(transactions, terminals).T, strict=True))
    lately = known[f"terminal: known frauds, {COMPROMISED} d"] > 0
    found: NDArray[np.bool_] = (transactions.label == FRAUD) & ((transactions.scenario != AT_TERMINAL) | lately)
    return found


def _columns(task: str, settings: Fraud, transactions: Transactions) -> tuple[Columns, NDArray[np.float32]]:
    if task == PUBLISHED:
        # The book's risk is the rate of known frauds, under the name by which detectors find it.
        said = [name.replace(": risk,", ": known fraud rate,") for name in COLUMNS]
        numeric = by_histories(transactions)
    else:
        definition = definition_of(settings, tuple(transactions.entities))
        said = list(names(definition))
        numeric = histories(transactions, definition)
    return Columns(tuple(Column(name, "numeric") for name in said)), numeric.astype(np.float32)


def _rows(numeric: NDArray[np.float32]) -> Rows:
    return Rows(numeric, np.zeros((len(numeric), 0), np.int64))


def rows(records: Mapping[Cell, dict]) -> list[Row]:
    """The table as far as it is measured, with the book's figures below."""
    return [*_measured(records), *_published(records)]


def _measured(records: Mapping[Cell, dict]) -> Iterator[Row]:
    for task, name in _present(records):
        found = _of(records, task, name)
        seconds, peak = mean(one["fit_seconds"][name] for one in found), max(one["peak_mb"] for one in found)
        each = np.array([one["figures"][name] for one in found])  # [seeds, folds, metrics]
        for place, metric in enumerate(METRICS):
            for over, folds in OVER.items():
                value, low, high = interval(each[:, folds, place].mean(1).tolist())
                several = len(found) > 1
                yield Row(task, NAMES[name], name in OURS, metric + over, value, low if several else None,
                          high if several else None, len(found), seconds, peak, "measured here")  # fmt: skip


def _present(records: Mapping[Cell, dict]) -> list[tuple[str, str]]:
    """Task and model, without doubles."""
    found = [(cell.task, name) for cell, record in records.items() if cell in CELLS for name in record["figures"]]
    return sorted(dict.fromkeys(found), key=lambda pair: (PUBLISHED, OWN).index(pair[0]))


def _of(records: Mapping[Cell, dict], task: str, name: str) -> list[dict]:
    """A record a seed."""
    return [record for cell, record in records.items()
            if cell in CELLS and cell.task == task and name in record["figures"]]  # fmt: skip


def _published(records: Mapping[Cell, dict]) -> Iterator[Row]:
    if any(cell.task == PUBLISHED for cell in records):
        for who, over, each in BOOK:
            for metric, value in zip(METRICS[:3], each, strict=True):
                yield Row(PUBLISHED, f"the book's {who}", False, metric + over, value, None, None, None, None, None,
                          "published: Le Borgne et al. 2022")  # fmt: skip


def conclusions(records: Mapping[Cell, dict]) -> str:
    """A line a model: means over the four folds, then AUC / average precision / card precision of the other folds."""
    lines: list[str] = []
    for task in (PUBLISHED, OWN):
        models = [name for of, name in _present(records) if of == task]
        if models:
            head = (task, "AUC", "average precision", "CP@100", "AUC known", "fold 0", "the book's weeks", "seeds")
            lines += ["", "| " + " | ".join(head) + " |"]
            lines += ["| --- | ---: | ---: | ---: | ---: | --- | --- | ---: |"]
        for name in models:
            each = np.array([record["figures"][name] for record in _of(records, task, name)])
            four, *others = (each[:, folds].mean((0, 1)) for folds in OVER.values())
            told = [f"{value:.3f}" for value in four]
            told += [" / ".join(f"{value:.3f}" for value in some[:3]) for some in others]
            label = f"**{NAMES[name]}**" if name in OURS else NAMES[name]
            lines.append("| " + " | ".join((label, *told, str(len(each)))) + " |")
    return "\n".join(lines).strip()
