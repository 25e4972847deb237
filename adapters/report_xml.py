"""XML from strangers: no document type, no entities, bounded depth, elements and attributes.

`defusedxml` refuses what XML lets a document do to its reader (entity bombs, external entities,
document types); the builder here bounds the rest and keeps only the text that is asked for.
"""

from collections.abc import Collection
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from adapters.report_check import MAX_ITEMS, malformed, one_line

MAX_DEPTH = 64
MAX_ELEMENTS = 2 * MAX_ITEMS
MAX_ATTRIBUTES = 64
MAX_TEXT_CHARACTERS = 8_192
"""Of one element; what follows is dropped while it is read."""


def read_xml(raw: bytes, format_name: str, keep_text_of: Collection[str]) -> Element:
    """The tree of an XML document, without namespaces; text is kept for the elements named.

    Raises:
        Invalid: `report-malformed`: not well formed, truncated, several roots, in an encoding that
            is not known, with a document type, or beyond the limits.
    """
    builder = _BoundedBuilder(format_name, keep_text_of)
    try:
        parser = DefusedXMLParser(target=builder, forbid_dtd=True)
        parser.feed(raw)
        root = parser.close()
    except DefusedXmlException:
        raise malformed(
            format_name, "it has a document type or entities, which are never read; remove them"
        ) from None
    except ParseError as error:
        raise malformed(format_name, f"the XML breaks off or is wrong: {error}") from None
    except (ValueError, LookupError) as error:  # an encoding that expat cannot read
        raise malformed(format_name, f"{one_line(str(error))}; write it in UTF-8") from None
    assert isinstance(root, Element)
    return root


class _BoundedBuilder:
    """What the parser calls for each piece of the document."""

    def __init__(self, format_name: str, keep_text_of: Collection[str]) -> None:
        self._format = format_name
        self._keep_text_of = keep_text_of
        self._tree = TreeBuilder()
        self._open: list[str] = []
        self._elements = 0
        self._text_left = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._elements += 1
        if len(self._open) >= MAX_DEPTH:
            raise malformed(self._format, f"its elements are nested over {MAX_DEPTH} deep")
        if self._elements > MAX_ELEMENTS:
            raise malformed(self._format, f"it has more than {MAX_ELEMENTS} elements; split it")
        if len(attributes) > MAX_ATTRIBUTES:
            raise malformed(self._format, f"an element has more than {MAX_ATTRIBUTES} attributes")
        name = tag.rpartition("}")[2]
        self._open.append(name)
        self._text_left = MAX_TEXT_CHARACTERS if name in self._keep_text_of else 0
        self._tree.start(name, attributes)

    def data(self, text: str) -> None:
        """Some text inside the open element."""
        if self._text_left > 0:
            kept = text[: self._text_left]
            self._text_left -= len(kept)
            self._tree.data(kept)

    def end(self, _tag: str) -> None:
        """The open element ends."""
        self._text_left = 0
        self._tree.end(self._open.pop())

    def close(self) -> Element:
        """The document ends."""
        return self._tree.close()
