"""What stands between `---` and `---` at the start of a document, such as its title and state: as a card.

It is read as lines of `key: value` and not as YAML; what is not of that kind is shown as it is written.
"""

import re
from collections.abc import Sequence
from html import escape

MAX_CHARACTERS = 4_096
"""It is known to be one once it has ended within these."""

_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_ -]{0,63}):(?:[ \t]+(.*))?$")
_FENCE = "---"

Entries = Sequence[tuple[str, str]]
"""Keys and values, as they come; the value of a list or of anything nested is its lines."""


def length_of(text: str, *, ended: bool) -> int | None:
    """How many characters of a text are front matter, its last line end with them: 0 if none.

    Args:
        text: From its beginning, with LF as line end.
        ended: Nothing follows.

    Returns:
        None while that is not known.
    """
    head = text[:MAX_CHARACTERS]
    decided = ended or len(text) >= MAX_CHARACTERS
    lines = head.split("\n")
    complete = lines if ended and len(text) < MAX_CHARACTERS else lines[:-1]
    for number, line in enumerate(complete):
        if (number == 0 and line.rstrip() != _FENCE) or (number == 1 and not _KEY.match(line)):
            return 0
        if number > 1 and line.rstrip() == _FENCE:
            return min(sum(len(one) + 1 for one in lines[: number + 1]), len(head))
    if decided:
        return 0
    return None if len(lines) > 1 or _FENCE.startswith(head.rstrip()) else 0


def entries_of(front: str) -> Entries | None:
    """Keys and values; None if a line belongs to no key.

    Args:
        front: With the lines that begin and end it; the last may be missing.
    """
    entries: list[tuple[str, list[str]]] = []
    for line in front.split("\n")[1:]:
        if line.rstrip() == _FENCE:
            break
        found = _KEY.match(line)
        if found is not None:
            entries.append((found[1].strip(), [_unquoted((found[2] or "").strip())]))
        elif entries and (not line.strip() or line[0] in " \t-#"):
            entries[-1][1].append(line)
        elif line.strip():
            return None
    return tuple((key, "\n".join(lines).strip("\n").rstrip()) for key, lines in entries)


def card(front: str) -> str:
    """Front matter as HTML, escaped: a list of keys and values, or code."""
    entries = entries_of(front)
    if not entries:
        return f'<pre class="front-matter"><code>{escape(front)}</code></pre>\n'
    rows = "".join(f"<dt>{escape(key)}</dt>\n<dd>{_value(value)}</dd>\n" for key, value in entries)
    return f'<dl class="front-matter">\n{rows}</dl>\n'


def _value(value: str) -> str:
    return f"<pre><code>{escape(value)}</code></pre>" if "\n" in value else escape(value)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
