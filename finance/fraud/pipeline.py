"""Fraud: which transactions to investigate today, learned from the past alone, within a budget of cards a day.

lepton run finance/fraud data.path=tx.csv data.time=ts data.entity=[card,terminal] data.amount=amount data.target=fraud
"""

from finance.fraud.settings import Fraud
from lepton_solutions.files import stamp
from lepton_solutions.pipeline import Stage


def stages(settings: Fraud) -> list[Stage]:
    """The run, in order: what each stage reads and writes."""
    # Imported here, so that a mistyped key is answered before torch and its like have loaded.
    from finance.fraud.prepare import prepare

    prepared = ("transactions.npz", "data.json", "audit.json")
    return [
        Stage(
            "prepare",
            lambda run, out, progress: prepare(settings, run, out),
            reads=(),
            writes=prepared,
            depends=(settings.data, settings.split, settings.features.delay, stamp(settings.data.path)),
        ),
    ]
