"""A block's tokens as HTML: what differs from the parser's own output.

Task boxes are characters and no form fields, the alignment of a cell is a class, since pages allow no inline
style, and a table stands in an element of its own, so that it scrolls and the page does not. An image is its words, and a
link: a page loads nothing from elsewhere, and whoever put it there would learn who reads.
"""

# ruff: noqa: ARG002 - the parser calls each of these with the same four
from collections.abc import Sequence
from html import escape

from markdown_it.common.utils import unescapeAll
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from projections.markdown.formulas import MAX_FORMULAS, formula
from projections.markdown.highlight import highlight


class HtmlOutput(RendererHTML):
    """Renders tokens; `env` says by `settled` whether the block stays as it is, by `highlight` whether code is marked."""

    def definition(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """A link's definition shows nothing."""
        return ""

    def link_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """The start of a link, in which an image is none."""
        env["links"] = env.get("links", 0) + 1
        return self.renderToken(tokens, idx, options, env)

    def link_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Its end."""
        env["links"] -= 1
        return self.renderToken(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """What is read in place of an image; it leads there, unless it is in a link, or has no address of its own."""
        token = tokens[idx]
        words = escape(self.renderInlineAsText(token.children or [], options, env) or "image")
        address = str(token.attrs["src"])
        if env.get("links") or not address.startswith(("https://", "http://")):
            return f'<span class="image">{words}</span>'
        return f'<a class="image" href="{escape(address)}">{words}</a>'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Code with its language, marked once it is all there: marking is too slow to be done at each step."""
        token = tokens[idx]
        words = unescapeAll(token.info).split(maxsplit=1)
        language = words[0] if words else ""
        marked = highlight(token.content, language) if env["highlight"] and language else None
        named = f' class="language-{escape(language)}"' if language else ""
        outer = "" if marked is None else ' class="highlight"'
        code = escape(token.content) if marked is None else marked
        return f"<pre{outer}><code{named}>{code}</code></pre>\n"

    def list_item_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """An item, with a box before it if it is a task."""
        checked = tokens[idx].meta.get("checked")
        if checked is None:
            return self.renderToken(tokens, idx, options, env)
        tokens[idx].attrs = {"class": "task"}
        box = "\u2611" if checked else "\u2610"
        return f'{self.renderToken(tokens, idx, options, env)}<span class="task-box">{box}</span> '

    def table_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """A table that can be scrolled, by keys too."""
        scrolls = '<div class="table-scroll" tabindex="0" role="region" aria-label="Table">\n'
        return scrolls + self.renderToken(tokens, idx, options, env)

    def table_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Its end."""
        return self.renderToken(tokens, idx, options, env) + "</div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A cell of the head."""
        return self._cell(tokens, idx, options, env)

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A cell."""
        return self._cell(tokens, idx, options, env)

    def _cell(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        style = str(tokens[idx].attrs.pop("style", ""))
        if style:
            tokens[idx].attrs["class"] = "ta-" + style.removeprefix("text-align:")
        return self.renderToken(tokens, idx, options, env)

    def math_inline(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """A formula within a line."""
        return _formula(tokens[idx], env, display=False)

    def math_inline_double(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """A formula that is set off, within a paragraph."""
        return _formula(tokens[idx], env, display=True)

    def math_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """A formula by itself; one without an end is shown as it is written once nothing can end it."""
        token = tokens[idx]
        if token.meta["closed"]:
            return f'<div class="math">{_formula(token, env, display=True)}</div>\n'
        if env["settled"]:
            return f'<pre class="math"><code>{escape(token.content)}</code></pre>\n'
        return '<div class="math"></div>\n'


def _formula(token: Token, env: EnvType, *, display: bool) -> str:
    env["formulas"] = number = env.get("formulas", 0) + 1
    if number > MAX_FORMULAS:
        return f"<code>{escape(token.content)}</code>"
    return formula(token.content, display=display)
