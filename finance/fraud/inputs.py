"""From transactions and their histories to the rows of a model: features first, further columns of the data behind."""

from __future__ import annotations

import numpy as np

from finance.fraud.features import Definition, Floats, names
from finance.fraud.settings import Fraud
from finance.fraud.transactions import DAY
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.errors import UserError


def definition_of(settings: Fraud, entities: tuple[str, ...]) -> Definition:
    """entities: kinds in the data, the first of which is investigated; with each of the others it makes a pair, in
    both directions. Raises UserError where its last transactions are asked for and there is none.
    """
    last = settings.model.sequence
    if last and not entities:
        raise UserError(
            f"model.sequence: found {last}, expected 0, as no entity is named whose payments these could be",
            hint="data.entity=COLUMN names it",
        )
    windows = tuple(round(days * DAY) for days in settings.features.windows)
    pairs = tuple(pair for other in entities[1:] for pair in ((entities[0], other), (other, entities[0])))
    return Definition(entities, windows, round(settings.features.delay * DAY), pairs, last)


def columns_of(definition: Definition, extras: Columns) -> Columns:
    """Of the rows that `rows_of` makes."""
    return Columns((*(Column(name, "numeric") for name in names(definition)), *extras.columns))


def rows_of(features: Floats, extras: Rows) -> Rows:
    """features: [n, features] as of `names`, in double; a model reads them as floats, as all it reads."""
    return Rows(np.hstack([features.astype(np.float32), extras.numeric]), extras.codes)
