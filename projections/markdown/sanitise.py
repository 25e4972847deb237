"""The last door before a page: whatever the parser and its extensions gave, only this comes through.

The content cannot give an element its `id` or `name`, which would let it stand in for a member of the page's
`document`: an `id` has to be one that is made for headings here. Styles do not come through at all; classes
only the few that we give.
"""

import re

import nh3

from projections.markdown.highlight import CLASSES

_MATHML = frozenset(
    """
    math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt mstyle
    msub msubsup msup mtable mtd mtext mtr munder munderover none
    """.split()  # noqa: SIM905 - read as a paragraph
)
_TAGS = frozenset(
    """
    a blockquote br code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr
    ul
    """.split()  # noqa: SIM905 - read as a paragraph
)
_MATHML_ATTRIBUTES = {
    "columnalign", "columnlines", "columnspacing", "depth", "displaystyle", "fence", "form", "height", "linethickness",
    "lspace", "mathvariant", "maxsize", "minsize", "notation", "rowalign", "rowlines", "rowspacing", "rspace",
    "scriptlevel", "separator", "stretchy", "voffset", "width",
}  # fmt: skip
_ALIGNED = {"ta-left", "ta-center", "ta-right"}
_HEADING_ID = re.compile(r"h-[\w-]{1,90}")
_LANGUAGE = re.compile(r"language-[\w+#.-]{1,40}")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


def _filtered(tag: str, name: str, value: str) -> str | None:
    if name == "id":
        return value if _HEADING_ID.fullmatch(value) else None
    if tag == "code" and name == "class":
        return value if _LANGUAGE.fullmatch(value) else None
    return value


_cleaner = nh3.Cleaner(
    tags=set(_TAGS | _MATHML),
    attributes={
        "a": {"href", "title", "data-cite"},
        "code": {"class"},
        "ol": {"start"},
        **{tag: {"id"} for tag in HEADINGS},
        **{tag: _MATHML_ATTRIBUTES for tag in _MATHML if tag != "math"},
    },
    tag_attribute_values={
        "a": {"data-incomplete": {"true"}, "data-unresolved": {"true"}},
        "div": {"tabindex": {"0"}, "role": {"region"}, "aria-label": {"Table"}},
        "math": {"display": {"block", "inline"}, "xmlns": {"http://www.w3.org/1998/Math/MathML"}},
    },
    allowed_classes={
        "a": {"cite", "image"},
        "div": {"table-scroll", "math"},
        "dl": {"front-matter"},
        "li": {"task"},
        "pre": {"front-matter", "highlight", "math", "too-long"},
        "span": {"image", "task-box", *CLASSES},
        "td": _ALIGNED,
        "th": _ALIGNED,
    },
    attribute_filter=_filtered,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
)


def sanitise(html: str) -> str:
    """A block's HTML with nothing in it that could act, or load, or look like a part of the page."""
    return _cleaner.clean(html)
