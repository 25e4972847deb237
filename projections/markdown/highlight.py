"""Code with its words marked: Pygments' tokens as `<span class="…">` below `.highlight`, with its short class names.

A style sheet needs `c` with `c1 ch cm cp cpf cs` (comments), `k` with `kc kd kn kp kr kt` (keywords), `s` with `sa sb sc dl sd s2 se
sh si sx sr s1 ss` (strings), `m` with `mb mf mh mi mo il` (numbers), `n` with `na nb nc nd ne nf ni nl nn no nt nv` (names),
`bp fm py vc vg vi vm` (names that a language knows), `o ow` (operators), `p pm` (punctuation), `g` with `gd ge gh gi go gp gr gs gt gu`
(differences and sessions), and `err`. All of them are in `CLASSES`.

Only some languages, and by name: looking for others would read the packages that are installed.
"""

from html import escape

from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES, Token

MAX_CODE_CHARACTERS = 16_384
"""In one block of code; a longer one is shown without marks. Measured: 108 ms for 18 KB."""

CLASSES = frozenset(name for name in STANDARD_TYPES.values() if name)
"""Every class that a token can get."""

LANGUAGES = frozenset(
    """
    bash c cpp c++ csharp c# css diff docker dockerfile elixir elm erlang fish go graphql groovy haskell hcl html http
    ini java javascript js json jsx julia kotlin latex lua make makefile nginx nix objc ocaml perl php
    postgres postgresql powershell proto protobuf py python python3 r rb rs ruby rust scala scheme sh shell sql swift
    terraform tex toml ts tsx typescript vue xml yaml yml zig zsh
    """.split()  # noqa: SIM905 - read as a paragraph
)


def highlight(code: str, language: str) -> str | None:
    """The code as HTML, escaped; None where it is to be shown without marks."""
    name = language.lower()
    if name not in LANGUAGES or len(code) > MAX_CODE_CHARACTERS:
        return None
    lexer = get_lexer_by_name(name, stripnl=False, ensurenl=False)
    parts: list[str] = []
    length = 0
    for kind, text in lexer.get_tokens(code):
        length += len(text)
        while kind not in STANDARD_TYPES and kind is not Token:
            kind = kind.parent  # noqa: PLW2901 - a lexer's own kind counts as the nearest known one
        mark = "" if text.isspace() else STANDARD_TYPES.get(kind, "")
        parts.append(
            f'<span class="{mark}">{escape(text)}</span>' if mark and text else escape(text)
        )
    return "".join(parts) if length == len(code) else None
