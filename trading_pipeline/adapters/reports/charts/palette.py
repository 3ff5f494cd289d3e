"""Colours that mean the same in every chart of the report and in its text, by day and by night.

Charts are drawn in the colours of day; where the page is dark, each is replaced by its own of
night. Both sets are told apart by people who see few colours: a test looks at them as they do.
"""

PAPER = "#ffffff"
INK = "#1d2733"
NEUTRAL = "#6b7785"
RULE = "#e3e8ee"
BAND = "#dfe5ec"
STRATEGY = "#0b5cad"
GAIN = "#0072b2"
LOSS = "#b84a00"
AMBER = "#9a5b00"
# From loss over nothing to gain: orange and blue are told apart by nearly everyone.
DIVERGING = ((0.0, LOSS), (0.5, PAPER), (1.0, STRATEGY))
# For baselines, in the order given (Tol, muted, in another order).
BASELINES = (
    "#cc6677",
    "#117733",
    "#ddaa33",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
    "#45403a",
    "#88ccee",
)
NIGHT = {
    PAPER: "#161b22",
    INK: "#e6edf3",
    NEUTRAL: "#9aa5b1",
    RULE: "#2f3742",
    BAND: "#323b47",
    STRATEGY: "#58a6ff",
    GAIN: "#56b4e9",
    LOSS: "#f08a4b",
    AMBER: "#e3a53d",
    **dict(
        zip(
            BASELINES,
            (
                *("#e58a98", "#4caf6e", "#ddaa33", "#c44f90", "#2bd4c8"),
                *("#b8b84d", "#d98bd0", "#f0e6d2", "#88ccee"),
            ),
            strict=True,
        )
    ),
}


def translucent(colour: str, share: float) -> str:
    """A colour of which so much is seen, for areas: Plotly reads eight digits."""
    return f"{colour}{round(255 * share):02x}"


def variable(colour: str) -> str:
    """A colour as the style of the page says it: the one of night where the page is dark."""
    return f"var(--c-{colour.lstrip('#')})"


def variables(night: bool) -> str:
    """The declarations behind `variable`."""
    return " ".join(
        f"--c-{day.lstrip('#')}: {dark if night else day};" for day, dark in NIGHT.items()
    )
