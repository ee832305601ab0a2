"""Where histories come from: NASA's engines, the simulator, the other public sets, and the user's own table.

A source is a function of the `data` keys that gives a `Fleet`; the config names it (`data=cmapss_fd001`).
"""

from __future__ import annotations

from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.layout import Layout
from manufacturing.failure.settings import Histories


def collect(data: Histories) -> tuple[Fleet, Layout | None]:
    """The fleet that `data` names, and how its table is read where it is the user's own."""
    if data.source.target == f"{__name__}.own":
        from manufacturing.failure.histories import own_histories

        return own_histories(data)
    found = data.source.resolve()(data)
    if not isinstance(found, Fleet):
        raise UserError(f"data.source: `{data.source.target}` gives a {type(found).__name__}, expected a Fleet")
    return found, None


def own(data: Histories) -> Fleet:
    """The histories of a table of the user's own, the source of `data=own_histories`."""
    return collect(data)[0]
