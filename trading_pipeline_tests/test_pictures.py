"""Do the pictures of the docs show today's pages?"""

import pytest
from PIL import Image

from trading_pipeline_tests.pictures import IMAGES, digests, skeleton, stamp, stamped


@pytest.fixture(scope="module")
def current():
    return digests()


@pytest.mark.parametrize(
    "name", ["page.png", "page_dark.png", "graph.png", "report.png", "live.png"]
)
def test_no_picture_is_older_than_what_draws_its_page(current, name):
    """`make pictures`, after a demo, takes them anew; `--live URL` that of a paper session."""
    assert stamped(IMAGES / name) == current[name]


def test_figures_may_change_and_a_column_a_heading_or_a_style_may_not():
    html = '<style>b {{}}</style><h2>{}</h2><ul><li>{}</li></ul><td class="{}">{}</td>'
    before = skeleton(html.format("Edge", "a", "saved", 1))
    assert skeleton(html.format("Edge", "b", "saved", 2)) == before
    assert skeleton(html.format("Skill", "a", "saved", 1)) != before
    assert skeleton(html.format("Edge", "a", "cost", 1)) != before
    assert skeleton(html.format("Edge", "a", "saved", 1).replace("b {", "i {")) != before


def test_a_picture_keeps_its_pixels_when_it_is_stamped(tmp_path):
    path = tmp_path / "a.png"
    Image.effect_noise((20, 10), 50).save(path)
    pixels = Image.open(path).tobytes()
    stamp(path, "ab12")
    assert stamped(path) == "ab12"
    assert Image.open(path).tobytes() == pixels
