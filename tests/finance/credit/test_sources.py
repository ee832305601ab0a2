"""The public credit data sets, as published."""

import pytest

from finance.credit.sources import GERMAN, GMSC, TAIWAN, german, gmsc, taiwan


def test_german_credit_is_as_published():
    found = german()
    assert found.rows.shape == (1000, 21)
    assert sum(found.rows.column("default").to_pylist()) == 300
    first = found.rows.slice(0, 1).to_pylist()[0]
    assert (first["checking_account"], first["duration"], first["amount"], first["default"]) == ("A11", "6", "1169", 0)
    coded = {f"{name}={value}" for name in ("purpose", "job") for value in found.rows.column(name).to_pylist()}
    assert coded <= found.meanings.keys()


@pytest.mark.parametrize(
    ("source", "load", "shape", "positives"),
    [(TAIWAN, taiwan, (30_000, 24 + 10), 6_636), (GMSC, gmsc, (150_000, 11), 10_026)],
    ids=["taiwan", "gmsc"],
)
def test_a_larger_set_is_as_published(source, load, shape, positives):
    if source.find() is None:
        pytest.skip(f"{source.name} is not on this machine")
    found = load()
    assert found.rows.shape == shape
    assert [str(value) for value in found.rows.column(found.target).to_pylist()].count(found.positive) == positives


def test_the_derived_columns_of_taiwan_are_the_ratios_of_their_row():
    if TAIWAN.find() is None:
        pytest.skip(f"{TAIWAN.name} is not on this machine")
    first = taiwan().rows.slice(0, 1).to_pylist()[0]
    # Limit 20,000; bills 3,913, 3,102, 689 and three of 0; one payment of 689; two months of delay, twice.
    assert first["used"] == pytest.approx(3_913 / 20_000)
    assert first["headroom"] == 20_000 - 3_913
    assert first["paid"] == pytest.approx(689 / (3_102 + 689))
    assert (first["late_months"], first["late_longest"], first["late_total"]) == (2, 2, 4)


def test_the_sets_state_their_terms():
    assert all(source.licence and source.cite and source.home for source in (GERMAN, TAIWAN, GMSC))
