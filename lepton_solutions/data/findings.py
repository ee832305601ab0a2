"""What the audit says: findings, worst of which end a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from pydantic import TypeAdapter

from lepton_solutions.errors import UserError

Check: TypeAlias = Literal[
    # of tables
    "owner",
    "duplicates",
    "near_duplicates",
    "contradictions",
    "time",
    "giveaway",
    "strong",
    "drift",
    # of images
    "unreadable",
    "blank",
    "size",
    "shortcut",
    # of histories
    "short",
    "absent",
    "constant",
    "unit_of_measure",
    # of transactions
    "future",
]


@dataclass(frozen=True)
class Finding:
    """One thing the audit saw. `rows` counts the rows it concerns, 0 where it concerns a column as a whole."""

    level: Literal["fail", "warning", "info"]
    check: Check
    message: str
    columns: tuple[str, ...] = ()
    rows: int = 0
    hint: str = ""

    def to_json(self) -> dict[str, object]:
        """As plain values for `audit.json`."""
        return asdict(self) | {"columns": list(self.columns)}

    @classmethod
    def from_json(cls, saved: object) -> "Finding":
        """The inverse of `to_json`. Raises pydantic.ValidationError for anything else."""
        return TypeAdapter(cls).validate_python(saved)


def failures(findings: Sequence[Finding]) -> UserError | None:
    """One error that lists every failing finding, or None where there is none."""
    failed = [finding for finding in findings if finding.level == "fail"]
    if not failed:
        return None
    hints = dict.fromkeys(finding.hint for finding in failed if finding.hint)  # each once, in order
    messages = [finding.message for finding in failed]
    message = messages[0] if len(messages) == 1 else "\n- ".join([f"the audit found {len(messages)} leaks:", *messages])
    return UserError(message, hint="; ".join(hints) or None)


def told(findings: Sequence[Finding], head: str) -> tuple[str, bool]:
    """What `lepton audit` prints below a line on what was read, and whether a finding fails."""
    failed = any(finding.level == "fail" for finding in findings)
    lines = [head] + [
        f"{finding.level:<8} {finding.message}" + (f" ({finding.hint})" if finding.hint else "") for finding in findings
    ]
    return "\n".join([*lines, "the audit failed" if failed else "the audit passed"]), failed
