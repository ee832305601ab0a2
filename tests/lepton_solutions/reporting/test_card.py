from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.card import model_card
from lepton_solutions.reporting.run import DataCard, DataColumn


def card(**changes) -> str:
    data = DataCard(source="pumps.csv", rows=1234, target="failed", columns=(DataColumn(name="rpm", kind="numeric"),))
    return model_card(
        data.model_copy(update=changes),
        {"auc": Interval(0.8, 0.7, 0.9)},
        title="Pump model",
        purpose="Warns early.",
        decision="Stop at 30 %.",
        limits=["Only for pumps.", "Only above 10 rpm."],
    )


def test_the_card_says_what_for_on_what_how_good_and_where_not():
    text = card()
    assert text.startswith("# Pump model\n\nWarns early.\n")
    assert "1,234 rows from pumps.csv; the target is `failed`." in text
    assert "| auc | 0.800 | 0.700–0.900 |" in text
    assert "## Decision\n\nStop at 30 %.\n" in text
    assert "- Only for pumps.\n- Only above 10 rpm.\n" in text
    assert "## Licence of the data\n\nNot stated." in text


def test_what_was_left_out_is_named_with_its_reason():
    text = card(ignored={"serial": "identifier"}, protected=("site",))
    assert "Not used: `serial` (identifier)." in text
    assert "Protected: `site`." in text


def test_text_from_the_data_cannot_break_the_page():
    text = card(source="a\n# heading", licence="<script>", cite="x | y")
    assert "\n# heading" not in text and "<script>" not in text and "x \\| y" in text
