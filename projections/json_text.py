"""JSON for people: indented, its parts marked, and every number and name as it was written."""

import re
from html import escape

import msgspec

MAX_CHARACTERS = 262_144
MAX_DEPTH = 32
"""With the length it bounds what indenting adds."""

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_PARTS = re.compile(
    r'(?P<nt>"(?:[^"\\]|\\.)*"(?=:))|(?P<s2>"(?:[^"\\]|\\.)*")|(?P<mf>-?[0-9][0-9.eE+-]*)'
    r"|(?P<kc>true|false|null)|[^\"\-0-9tfn]+"
)


def json_html(text: str) -> str | None:
    """A JSON text as HTML, with the short class names of Pygments.

    Nothing is read into values and written again, so what was recorded is what is shown.

    Returns:
        None if it is no JSON, or longer or deeper than the limits: then it is shown as it is.
    """
    if len(text) > MAX_CHARACTERS or _depth(text) > MAX_DEPTH:
        return None
    try:
        laid_out = msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return None
    parts = (
        f'<span class="{found.lastgroup}">{escape(found[0])}</span>'
        if found.lastgroup
        else escape(found[0])
        for found in _PARTS.finditer(laid_out)
    )
    return f'<pre class="highlight"><code>{"".join(parts)}</code></pre>'


def _depth(text: str) -> int:
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        deepest = max(deepest, depth)
    return deepest
