r"""Mathematics: `$a$`, `$$a$$` and the environments of amsmath, as MathML.

The inline rule is that of mdit-py-plugins. Its block rules need the end of a formula in order to see that one
began, so text that is still being written would be cut into other blocks than the same text when it is all
there. The rule here decides on the first line, as that of a fence does: a formula without an end goes as far as a
blank line, and is shown as it is written.
"""

import re
from functools import lru_cache
from html import escape

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from mdit_py_plugins.amsmath import ENVIRONMENTS
from mdit_py_plugins.dollarmath.index import math_inline_dollar

MAX_FORMULA_CHARACTERS = 2_000
MAX_FORMULAS = 200
"""In one block; the rest is shown as it is written."""

_ENVIRONMENT = re.compile(rf"\\begin\{{((?:{'|'.join(ENVIRONMENTS)})\*?)\}}")
_PLAIN = re.compile(r"\\(?:begin|end)\{equation\*?\}")
_ALIGNED = re.compile(
    r"\\(begin|end)\{(?:alignat|flalign|eqnarray|gather|multline)\*?\}(?:\{\d+\})?"
)


inline_formula = math_inline_dollar(allow_space=False, allow_digits=False, allow_double=True)
"""The inline rule: a dollar before a blank, or before a digit behind the formula, is a price."""


def add_formulas(parser: MarkdownIt) -> None:
    """Let a parser know mathematics."""
    parser.inline.ruler.before("escape", "math_inline", inline_formula)
    parser.block.ruler.before("fence", "math_dollars", _dollars)
    parser.block.ruler.before(
        "blockquote",
        "math_environment",
        _environment,
        {"alt": ["paragraph", "reference", "blockquote", "list"]},
    )


def formula(latex: str, *, display: bool) -> str:
    """A formula as MathML, or as code where it cannot be read; not sanitised."""
    written = f"<code>{escape(latex)}</code>"
    if len(latex) > MAX_FORMULA_CHARACTERS:
        return written
    return _mathml(latex.strip(), "block" if display else "inline") or written


@lru_cache(maxsize=512)
def _mathml(latex: str, display: str) -> str:
    """Empty where it cannot be read. Kept, because an open block is rendered again and again."""
    # Of what sets formulas below each other the converter knows `align` alone.
    known = _ALIGNED.sub(r"\\\1{align*}", _PLAIN.sub("", latex))
    # It does not escape what is in \text and the like: a tag there could hide the rest of the block.
    known = known.replace("<", r"\lt ").replace(">", r"\gt ")
    try:
        return convert(known, display=display)
    except Exception:  # noqa: BLE001 - it raises whatever comes to it, RecursionError too
        return ""


def _dollars(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """`$$` alone on a line up to a line that ends with `$$`, or all of it on one line."""
    line = _line(state, first).strip()
    if state.is_code_block(first) or not line.startswith("$$"):
        return False
    if len(line) > 4 and line.endswith("$$") and "$$" not in line[2:-2]:
        return silent or _push(state, first, first + 1, line[2:-2], closed=True)
    if line != "$$":
        return False
    if silent:
        return True
    last, closed = _extent(state, first + 1, end, "$$")
    lines = [_line(state, number) for number in range(first + 1, last)]
    if closed:
        lines[-1] = lines[-1].rstrip()[:-2]
    return _push(state, first, last, "\n".join(lines), closed=closed)


def _environment(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    r"""`\begin{align}` and the like, up to a line that ends with its `\end{align}`."""
    found = _ENVIRONMENT.match(_line(state, first))
    if state.is_code_block(first) or found is None:
        return False
    if silent:
        return True
    last, closed = _extent(state, first, end, f"\\end{{{found[1]}}}")
    lines = [_line(state, number) for number in range(first, last)]
    return _push(state, first, last, "\n".join(lines), closed=closed)


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _extent(state: StateBlock, first: int, end: int, closing: str) -> tuple[int, bool]:
    """The line behind a formula, and whether it has its end; a blank line ends it, and the end of what it is in."""
    for number in range(first, end):
        if state.isEmpty(number) or state.sCount[number] < state.blkIndent:
            return number, False
        if _line(state, number).rstrip().endswith(closing):
            return number + 1, True
    return end, False


def _push(state: StateBlock, first: int, behind: int, latex: str, *, closed: bool) -> bool:
    token = state.push("math_block", "math", 0)
    token.content = latex
    token.map = [first, behind]
    token.meta = {"closed": closed}
    state.line = behind
    return True
