"""Values that fit a shape, values at its limits, and values just beyond them."""

import re

# The largest integer in AWS JSON.
INTEGER_MAX = 2**31 - 1
# One of these characters, repeated, fits every pattern that is a class of characters.
FILLS = "a1A"
# The longest text of the only pattern that is not a class of characters.
LONGEST = ("9999999999.999999",)
# Odd texts. Every pattern that forbids anything forbids at least one of these.
ODD = (
    *("", " ", "a b", ">", "[]", "~", "\u0000", "-\n", "a\n", "1\n", "ä", "١"),
    *("1.2.3", "1.123456789", "01", "1e3", "arn:aws:x"),
)
# For each type of shape, values of another type.
WRONG = {
    "string": (1, True, ["x"], {"x": "y"}),
    "integer": ("1", True, 1.5, [1], {}),
    "boolean": ("true", 1, [True], {}),
    "timestamp": ("2026-11-21T12:00:00Z", True, [1], {}, 1e300),
    "list": ("x", 1, True, {}),
    "structure": ("x", 1, True, []),
    "map": ("x", 1, True, []),
}


def fits(shape, text):
    """Whether the whole text matches the pattern."""
    pattern = shape.metadata.get("pattern")
    return pattern is None or re.fullmatch(pattern, text) is not None


def of_length(shape, length):
    """A text of this length that the pattern allows. None if there is none."""
    candidates = [fill * length for fill in FILLS] + [text for text in LONGEST if len(text) == length]
    return next((text for text in candidates if fits(shape, text)), None)


def shortest(shape):
    """The shortest text that length and pattern allow. None if it is more than three characters above the minimum."""
    least = shape.metadata.get("min", 0)
    texts = (of_length(shape, length) for length in range(least, least + 4))
    return next((text for text in texts if text is not None), None)


def longest(shape):
    """The longest text that is allowed. None if the model sets no limit."""
    if "max" not in shape.metadata:
        return None
    text = of_length(shape, shape.metadata["max"])
    assert text is not None, f"no text of {shape.name} has its full length"
    return text


def against_pattern(shape):
    """Texts of an allowed length that the pattern forbids."""
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
    for text in ODD:
        if text:
            text *= max(1, -(-least // len(text)))
        if least <= len(text) <= most and not fits(shape, text):
            yield text
