"""Text that is still being written, shown as if what is open in it ended here.

This is done in the parser and not in the text: what is emphasis and what is not, how it nests and where it may stand
is then always what CommonMark says.
"""

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

from projections.markdown.healing_rules import RULES, at_end
from projections.markdown.parser import make_parser, prepared
from projections.markdown.unclosed_runs import heal_delimiters


def healing_parser() -> MarkdownIt:
    """A parser whose inline part heals the text that `env["tail"]` is."""
    parser = make_parser()
    for name, rule in RULES.items():
        parser.inline.ruler.at(name, rule)
    parser.inline.ruler2.before("balance_pairs", "heal", _heal)
    return parser


def _heal(state: StateInline) -> None:
    if at_end(state):
        heal_delimiters(state)


HEALING_PARSER = prepared(healing_parser())
