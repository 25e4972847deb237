"""WordPiece: a text as the numbers of the pieces of words that a BERT model was trained on.

As BERT's uncased tokenizer does it (Devlin et al., BERT, 2018, section 3; Wu et al., Google's Neural Machine
Translation System, 2016, section 4.1): lower case without accents, split at spaces and punctuation, then the
longest pieces that the vocabulary has. Time grows with the text's length, which `MAX_CHARACTERS` bounds.
"""

import unicodedata
from collections.abc import Iterator, Mapping

UNKNOWN, START, END = "[UNK]", "[CLS]", "[SEP]"
INSIDE = "##"
"""Before a piece that begins inside a word."""
LONGEST_WORD = 100
"""A longer one is unknown, as it was in training."""
MAX_TOKENS = 256
MAX_CHARACTERS = 8_192
"""Of a text that are looked at, so that one without a space is little work too: a passage has some 1,200."""

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
"""Each is a word of its own; these are the blocks that BERT's authors took."""

_NOTHING = ("Cc", "Cf", "Cs", "Co")
"""Of category C all but the unassigned: what these are changes from one Python to the next, and with it vectors."""


def tokens(text: str, vocabulary: Mapping[str, int], longest: int = MAX_TOKENS) -> list[int]:
    """The numbers of a text's tokens, between those that mark its start and its end.

    Args:
        text: Any.
        vocabulary: The number of each piece.
        longest: Tokens at most, the two marks among them; what is more is left out.
    """
    found = [vocabulary[START]]
    for word in _words(text[:MAX_CHARACTERS]):
        found += _pieces(word, vocabulary)
        if len(found) >= longest:
            break
    return [*found[: longest - 1], vocabulary[END]]


def _words(text: str) -> Iterator[str]:
    spaced = "".join(map(_spaced, text))
    for word in spaced.split():
        marked = unicodedata.normalize("NFD", word)
        # Character by character: as a word, Greek in capitals would end in another sigma.
        bare = "".join(one.lower() for one in marked if unicodedata.category(one) != "Mn")
        start = 0
        for place, one in enumerate(bare):
            if _is_punctuation(one):
                if start < place:
                    yield bare[start:place]
                yield one
                start = place + 1
        if start < len(bare):
            yield bare[start:]


def _spaced(one: str) -> str:
    """A character as it is, as a space, as nothing, or with spaces around it."""
    if one in "\t\n\r ":
        return " "
    if one in "\0\ufffd":
        return ""
    code = ord(one)
    if code < 128:
        return one if one.isprintable() else ""
    category = unicodedata.category(one)
    if category == "Zs":
        return " "
    if category in _NOTHING:
        return ""
    if any(first <= code <= last for first, last in _IDEOGRAPHS):
        return f" {one} "
    return one


def _is_punctuation(one: str) -> bool:
    """All of ASCII that is no letter, digit or space counts, such as `$` and `^`."""
    if one.isascii():
        return not one.isalnum()
    return unicodedata.category(one).startswith("P")


def _pieces(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The longest piece that fits, then the longest one behind it; unknown, if that leads nowhere."""
    unknown = [vocabulary[UNKNOWN]]
    if len(word) > LONGEST_WORD:
        return unknown
    found: list[int] = []
    start = 0
    while start < len(word):
        for stop in range(len(word), start, -1):
            piece = (INSIDE if start else "") + word[start:stop]
            if piece in vocabulary:
                found.append(vocabulary[piece])
                start = stop
                break
        else:
            return unknown
    return found
