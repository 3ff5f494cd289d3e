"""Colours: told apart by those who see few, legible by day and by night."""

from itertools import combinations

import numpy as np
import pytest

from trading_pipeline.adapters.reports.charts.palette import (
    AMBER,
    BASELINES,
    GAIN,
    INK,
    LOSS,
    NEUTRAL,
    NIGHT,
    PAPER,
    STRATEGY,
)

# Machado, Oliveira and Fernandes, A Physiologically-based Model for Simulation of Color Vision
# Deficiency (2009), full severity: what a person without one kind of cone sees, of linear RGB.
EYES = {
    "usual": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
MEANINGS = {"by day": lambda colour: colour, "by night": NIGHT.__getitem__}


def linear(colour):
    """Linear RGB of '#rrggbb', in [0, 1]."""
    share = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(colour, eye):
    """CIELAB of a colour as an eye sees it."""
    seen = np.clip(np.array(EYES[eye]) @ linear(colour), 0, 1)
    xyz = np.array(TO_XYZ) @ seen / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one, other, eye):
    """CIE 1976: about 2 is just seen, 10 at a glance."""
    return np.linalg.norm(lab(one, eye) - lab(other, eye))


def contrast(one, other):
    """As the W3C's guidelines have it, from 1 to 21."""
    lights = sorted(np.array([0.2126, 0.7152, 0.0722]) @ linear(each) for each in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("theme", MEANINGS)
@pytest.mark.parametrize("eye", EYES)
def test_gain_and_loss_and_the_lines_of_a_chart_are_told_apart(eye, theme):
    """Red and green of the same lightness would be one colour to one man in twelve."""
    of = MEANINGS[theme]
    assert distance(of(GAIN), of(LOSS), eye) > 40
    assert distance(of(STRATEGY), of(LOSS), eye) > 40
    for one, other in combinations((STRATEGY, *BASELINES), 2):
        assert distance(of(one), of(other), eye) > 8, (one, other)


@pytest.mark.parametrize("theme", MEANINGS)
def test_words_and_lines_stand_out_from_the_paper(theme):
    of = MEANINGS[theme]
    for words in (INK, GAIN, LOSS, AMBER, NEUTRAL):
        assert contrast(of(words), of(PAPER)) >= (4.5 if words != NEUTRAL else 4), words
    for line in (STRATEGY, *BASELINES):
        assert contrast(of(line), of(PAPER)) >= 1.7, line


def test_a_colour_replaced_by_night_is_not_replaced_twice():
    """The page replaces one after the other in the text of a chart."""
    assert not set(NIGHT) & {dark for day, dark in NIGHT.items() if day != dark}
