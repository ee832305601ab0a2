"""The section that the reports of all reference cases share."""

from __future__ import annotations

from lepton_solutions.reporting.page import Section
from lepton_solutions.reporting.run import RunMetrics
from lepton_solutions.reporting.sections import parity_tables


def parity_section(metrics: RunMetrics, *, of: str) -> Section:
    """Whether the exported model answers as the trained one. of: what was compared, in words."""
    parity = metrics.parity
    assert parity is not None
    lead = (
        f"`export/` holds the model as ONNX and its weights as safetensors. Compared were {of}. A sealed bundle, and a "
        "predictor that opens it, are not part of this case."
    )
    return Section("Exported model", parity_tables(parity, unit="rows"), lead)
