"""Text of others, made fit for a terminal."""

import unicodedata


def printable(text: str) -> str:
    """Foreign text for a terminal: control and format characters (ESC, bidi) become visible."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
        else f"\\u{ord(character):04x}"
        for character in text
    )
