import re

import pytest
from matplotlib.figure import Figure

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.page import (
    Code,
    Estimate,
    Facts,
    KeyFigure,
    KeyFigures,
    Notice,
    Page,
    Pictures,
    Section,
    Table,
    Text,
    estimate,
    picture,
    render,
)


def drawn(alt: str = "Two points, one line"):
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1])
    axes.set_xlabel("hours < 3")
    return picture(figure, alt=alt, caption="A caption")


def page(*blocks) -> str:
    return render(Page(title="A title", verdict="It works.", sections=[Section("Part one", list(blocks))]))


def test_every_kind_of_block_shows_its_text():
    html = page(
        Table(("Name", "Size"), [("first", Estimate("3", "2–4"))], "A table", note="A note", marked={0: "chosen"}),
        Pictures([drawn()]),
        KeyFigures([KeyFigure("Cost", Estimate("0.5", "0.4–0.6"), "in euros")]),
        Text("Some words."),
        Notice("warning", "Look here."),
        Code("lepton run x"),
        Facts([("Seed", "7")]),
    )
    for text in ("A table", "A note", "chosen", "2–4", "A caption", "0.4–0.6", "in euros", "Some words.", "Look here.",
                 "lepton run x", "Seed", "<h1>It works.</h1>", 'href="#part-one"', 'id="part-one"'):  # fmt: skip
        assert text in html


@pytest.mark.parametrize(
    "block",
    [
        Table(("<b>",), [("<b>",)], "<b>", note="<b>", marked={0: "<b>"}),
        KeyFigures([KeyFigure("<b>", Estimate("<b>", "<b>"), "<b>")]),
        Text("<b>"),
        Notice("info", "<b>"),
        Code("<b>"),
        Facts([("<b>", "<b>")]),
    ],
)
def test_text_is_never_markup(block):
    assert "<b>" not in page(block)


def test_a_name_between_backticks_is_set_as_code():
    assert "column <code>a&lt;b</code> is empty" in page(Notice("info", "column `a<b` is empty"))


def test_a_remark_says_its_level_in_words():
    assert "<strong>Failed.</strong>" in page(Notice("fail", "x"))


def test_a_table_scrolls_in_a_box_that_the_keyboard_reaches():
    html = page(Table(("a", "b"), [("1", "2")], "Wide"))
    assert '<div class="scroll" tabindex="0" role="region" aria-label="Wide">' in html
    assert '<th scope="row" class="left">1</th>' in html


def test_a_row_with_a_cell_too_few_is_refused():
    with pytest.raises(ValueError, match=r"`Sizes`: row .* has 1 cells, expected 2"):
        Table(("a", "b"), [("1",)], "Sizes")


def test_a_figure_is_text_for_screen_readers_and_scales():
    svg = drawn(alt='Says "more" & less').svg
    assert 'role="img" aria-label="Says &#34;more&#34; &amp; less"' in svg
    opening = svg[: svg.index(">")]
    assert "viewBox=" in opening and "width=" not in opening
    assert "hours &lt; 3</text>" in svg


def test_figures_keep_their_ids_and_styles_to_themselves():
    first, second = drawn("one").svg, drawn("two").svg
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    assert "<style" not in first and "<metadata" not in first


def test_equal_figures_give_equal_markup():
    assert drawn().svg == drawn().svg


def test_an_interval_below_zero_is_written_without_a_dash():
    assert str(estimate(Interval(-0.1, -0.3, 0.1), 1)) == "-0.1 (-0.3 to 0.1)"
    assert str(estimate(None)) == "–"
