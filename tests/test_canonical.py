"""Canonical JSON: one spelling, and a strict door."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from domain import canonical
from domain.errors import DeedbookError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NAMES = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def code_of(raw: bytes) -> str:
    with pytest.raises(DeedbookError) as caught:
        canonical.read(raw)
    return caught.value.code


@given(VALUES)
def test_our_spelling_is_that_of_rfc_8785(value: object) -> None:
    assert canonical.write(value) == rfc8785.dumps(value)  # type: ignore[arg-type] # it takes any JSON


@given(VALUES)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    assert canonical.read(canonical.write(value)) == value


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed-json"),
        (b"{", "malformed-json"),
        (b"nul", "malformed-json"),
        (b'{"a":1} x', "malformed-json"),
        (b'"\xff"', "malformed-json"),
        (b"\xef\xbb\xbf{}", "malformed-json"),
        (b'{"a":1,"a":2}', "malformed-json"),
        (b'{"a":{"b":1,"b":1}}', "malformed-json"),
        (b"1" * 5000, "malformed-json"),
        (b"[" * 65 + b"]" * 65 + b"", "json-too-deep"),
        (b"[" * 100_000, "json-too-deep"),
        (b'{"a":' * 100_000, "json-too-deep"),
        (b"1.0", "float-not-allowed"),
        (b"[1e3]", "float-not-allowed"),
        (b"NaN", "float-not-allowed"),
        (b"-Infinity", "float-not-allowed"),
        (b'"\\u0000"', "nul-character"),
        (b'{"\\u0000":1}', "nul-character"),
        (b'"\\ud800"', "validation-failed"),
        (b'{"\\u00e9":1}', "validation-failed"),
        (b"9007199254740992", "validation-failed"),
        (b"-9007199254740992", "validation-failed"),
    ],
)
def test_json_without_a_canonical_form_is_refused(raw: bytes, code: str) -> None:
    assert code_of(raw) == code


def test_the_pointer_names_the_place() -> None:
    with pytest.raises(DeedbookError) as caught:
        canonical.read(json.dumps({"a": [0, {"b": "x\0"}]}).encode())
    assert caught.value.pointer == "/a/1/b"


def test_what_is_within_the_depth_is_read() -> None:
    raw = b"[" * 64 + b"]" * 64
    assert canonical.write(canonical.read(raw)) == raw
