"""The rules of a draft: what may be added where, and when it is whole."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.draft import MAX_DRAFT_BYTES, Draft, State, check_whole, extend
from domain.errors import Conflict, DeedbookError, Gone, Invalid, TooLarge

EMPTY = Draft(
    id="0",
    kind="PRD",
    key="main",
    media_type="text/markdown",
    title=None,
    actor="user:ada",
    state="open",
    offset=0,
    version=None,
    opened_at="",
    changed_at="",
)


def written(pieces: list[bytes]) -> bytes:
    """The unfinished rest after some pieces."""
    draft, unfinished = EMPTY, b""
    for piece in pieces:
        unfinished = extend(draft, unfinished, draft.offset, piece)
        draft = msgspec.structs.replace(draft, offset=draft.offset + len(piece))
    return unfinished


@given(
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.data()
)
def test_a_text_may_be_cut_anywhere(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    bounds = [0, *cuts, len(raw)]
    pieces = [raw[start:stop] for start, stop in pairwise(bounds)]
    assert written(pieces) == b""


@pytest.mark.parametrize(
    ("pieces", "place"),
    [
        ([b"ab\xff"], 2),
        ([b"ab\xe6", b"\x97", b"x"], 2),
        ([b"\xf0\x9f", b"\x98\x80\x80"], 4),
        ([b"a", b"\xc0\xaf"], 1),
        ([b"\xf4\x90"], 0),
    ],
)
def test_a_bad_byte_is_refused_with_its_place(pieces: list[bytes], place: int) -> None:
    with pytest.raises(Invalid) as caught:
        written(pieces)
    assert caught.value.code == "validation-failed"
    assert f"offset {place}." in caught.value.detail


@pytest.mark.parametrize(
    ("state", "kind", "code"),
    [
        ("committing", Conflict, "draft-committing"),
        ("committed", Conflict, "draft-committed"),
        ("discarded", Gone, "draft-discarded"),
    ],
)
def test_a_draft_that_is_closed_takes_no_text(
    state: State, kind: type[DeedbookError], code: str
) -> None:
    closed = msgspec.structs.replace(EMPTY, state=state, version=7)
    with pytest.raises(kind) as caught:
        extend(closed, b"", 0, b"x")
    assert caught.value.code == code


def test_the_limit_is_a_whole_draft() -> None:
    assert extend(EMPTY, b"", 0, b"x" * MAX_DRAFT_BYTES) == b""
    full = msgspec.structs.replace(EMPTY, offset=MAX_DRAFT_BYTES)
    assert extend(full, b"", MAX_DRAFT_BYTES, b"") == b""
    with pytest.raises(TooLarge):
        extend(full, b"", MAX_DRAFT_BYTES, b"x")


@pytest.mark.parametrize("offset", [0, 4, 6])
def test_an_offset_that_is_not_the_end_is_refused_with_the_end(offset: int) -> None:
    with pytest.raises(Conflict) as caught:
        extend(msgspec.structs.replace(EMPTY, offset=5), b"", offset, b"x")
    assert (caught.value.code, caught.value.members) == ("offset-mismatch", {"current_offset": 5})


def test_a_text_is_committed_as_it_was_meant_and_whole() -> None:
    check_whole(EMPTY, b"", "sha256:a", None)
    check_whole(EMPTY, b"", "sha256:a", "sha256:a")
    with pytest.raises(Invalid) as caught:
        check_whole(EMPTY, b"", "sha256:a", "sha256:b")
    assert caught.value.code == "digest-mismatch"
    with pytest.raises(Invalid) as caught:
        check_whole(msgspec.structs.replace(EMPTY, offset=3), b"\xe6", "sha256:a", "sha256:a")
    assert "at offset 2:" in caught.value.detail
