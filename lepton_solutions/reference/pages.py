"""The section that the reports of all reference cases share."""

from __future__ import annotations

from lepton_solutions.reporting.page import Section, Table
from lepton_solutions.reporting.run import RunMetrics


def parity_section(metrics: RunMetrics, *, of: str) -> Section:
    """Whether the exported model answers as the trained one. of: what was compared, in words."""
    parity = metrics.parity
    assert parity is not None
    rows = [(case.case, f"{case.rows:,}", f"{case.largest_difference:.1g}", str(case.flipped)) for case in parity.cases]
    table = Table(("Rows", "Count", "Largest difference", "Flipped"), rows, "Exported against trained model")
    lead = (
        f"`export/` holds the model as ONNX and its weights as safetensors. Compared were {of}. A sealed bundle, and a "
        "predictor that opens it, are not part of this case."
    )
    return Section("Exported model", [table], lead)
