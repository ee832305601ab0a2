"""`LEPTON_OFFLINE=1` forbids every call over the network: a hospital's machine must not try, let alone wait."""

import os

from lepton_solutions.errors import UserError

VARIABLE = "LEPTON_OFFLINE"


def is_offline() -> bool:
    """Whether the variable is set, to anything but 0."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def refuse(what: str, *, hint: str | None = None) -> None:
    """Raises UserError where the network is forbidden. what: the call, such as `fetching the set x`."""
    if is_offline():
        raise UserError(f"{what}: {VARIABLE}={os.environ[VARIABLE]} forbids every call over the network", hint=hint)
