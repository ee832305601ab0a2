"""What a user did wrong, said so that they can mend it.

`UserError` is the only exception that reaches a user as a message; the command line prints it without a traceback and
exits with 2. Everything else that escapes is a defect of ours.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in a file, a config or a call: place, what was found, what was expected; `hint` says what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n\nhint: {self.hint}"


def did_you_mean(found: str, known: Iterable[str], *, limit: int = 12) -> str:
    """The nearest valid name as the end of a message, or the valid names where none is near.

    >>> did_you_mean("defualt", ["default", "age"])
    'did you mean `default`?'
    >>> did_you_mean("zzz", ["default", "age"])
    'known: `default`, `age`'
    """
    names = list(known)
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(found.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{folded[near[0]]}`?"
    shown = ", ".join(f"`{name}`" for name in names[:limit])
    return f"known: {shown}" + (f" and {len(names) - limit} more" if len(names) > limit else "")
