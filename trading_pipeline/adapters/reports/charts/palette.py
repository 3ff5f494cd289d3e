"""Colours that mean the same in every chart of the report and in its text."""

INK = "#1d2733"
NEUTRAL = "#6b7785"
RULE = "#e3e8ee"
STRATEGY = "#0b5cad"
BAND = "#dfe5ec"
GAIN = "#2e8b57"
LOSS = "#c0392b"
# From loss over nothing to gain: red and blue are told apart by nearly everyone.
DIVERGING = ((0.0, LOSS), (0.5, "#ffffff"), (1.0, STRATEGY))
# For baselines, in the order given: told apart by people who see few colours (Tol, muted).
BASELINES = (
    "#cc6677",
    "#117733",
    "#ddaa33",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
    "#777777",
    "#88ccee",
)
