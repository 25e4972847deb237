"""JSON as people read it: laid out, and otherwise as it was written."""

import re
from html import unescape

import msgspec
import pytest

from projections import json_text
from projections.json_text import json_html


def read(html: str) -> str:
    """The text of some HTML."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def test_json_is_laid_out_and_its_parts_are_marked() -> None:
    html = json_html('{"a:b":[-1.5e3,true,"x"]}')
    assert html is not None
    assert read(html) == '{\n  "a:b": [\n    -1.5e3,\n    true,\n    "x"\n  ]\n}'
    assert re.findall(r'class="(\w\w)"', html) == ["nt", "mf", "kc", "s2"]


def test_numbers_names_and_texts_stay_as_they_were_written() -> None:
    text = r'{"n":1.500,"n":12345678901234567890123,"big":1e400,"t":"\u00e9 \" \\ é {[,"}'
    html = json_html(text)
    assert html is not None
    assert re.sub(r"\n *", "", read(html)).replace('": ', '":') == text


def test_text_in_json_is_no_html() -> None:
    html = json_html('["<script>alert(1)</script>", "&amp;"]')
    assert html is not None
    assert "<script" not in html
    assert '"&amp;"' in read(html)


@pytest.mark.parametrize("text", ["", "{bad", "NaN", "[1,]", "1 2", '["\\ud800"]', "tru"])
def test_what_is_no_json_is_not_made_into_some(text: str) -> None:
    assert json_html(text) is None


def test_what_is_too_deep_or_too_long_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indenting a short text that is deep would make a page of gigabytes."""
    deep = "[" * 33 + "0,0" + "]" * 33
    assert json_html(deep) is None
    assert json_html(deep[1:-1]) is not None
    assert json_html(msgspec.json.encode("[" * 100).decode()) is not None
    monkeypatch.setattr(json_text, "MAX_CHARACTERS", 9)
    assert json_html("[1, 2, 3]") is not None
    assert json_html("[1, 2, 34]") is None
