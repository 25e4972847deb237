"""Foreign text inside Markdown of ours: shown as it is, and never read as Markdown, HTML or a mention."""

import unicodedata

MAX_CHARACTERS = 200
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def code(text: str, limit: int = MAX_CHARACTERS) -> str:
    """The text in a `<code>` element, on one line.

    Every ASCII character that is no letter or digit becomes a numeric reference, and such a one begins
    no Markdown (CommonMark, section 2.5). GitHub makes no mentions and links of what stands in `<code>`.
    """
    one_line = " ".join(text[: 4 * limit].split())
    if len(one_line) > limit:
        one_line = one_line[: limit - 1] + "…"
    return f"<code>{''.join(map(_shown, one_line))}</code>"


def _shown(character: str) -> str:
    if character.isascii():
        plain = character.isalnum() or character == " "
        return character if plain else f"&#{ord(character)};"
    if unicodedata.category(character) in _INVISIBLE:
        return f"&#92;u{ord(character):04x}"  # a backslash, and which one it was
    return character
