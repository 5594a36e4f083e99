"""The report's colours by their role. Figures are drawn in the light ones; within the page they follow its theme."""

import re

LIGHT = {
    "page": "#fbfcfa",
    "card": "#ffffff",
    "ink": "#1d2421",
    "muted": "#5c6862",
    "line": "#d8dfda",
    "good": "#2c7a4b",
    "bad": "#b23a2a",
    "accent": "#2a66ad",
    "faint": "#7b8780",
}
DARK = {
    "page": "#131715",
    "card": "#1b211e",
    "ink": "#e5ebe7",
    "muted": "#9daaa3",
    "line": "#323b36",
    "good": "#66c58d",
    "bad": "#f2836d",
    "accent": "#7fb3f0",
    "faint": "#84918a",
}


def themed(svg: str) -> str:
    """The same picture with colours that follow the page's."""
    for role, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{role})")
    return svg


def with_own_names(svg: str, figure: str) -> str:
    """The same picture with names that no other figure of a page has."""
    return re.sub(r'( id="|href="#|url\(#)(?=[^<]*>)', rf"\1{figure}-", svg)


def variables(colours: dict[str, str]) -> str:
    """As CSS declarations."""
    return " ".join(f"--{role}: {colour};" for role, colour in colours.items())
