"""The stored line: golden bytes, strict reading, and every type of event."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import canonical
from domain.errors import Damaged, Invalid, TooLarge
from domain.events import (
    EVENT_TYPES,
    ArtifactWritten,
    StoredLine,
    contents_of,
    encode_line,
    parse,
    read_data,
)

GOLDEN = (
    (
        b'{"actor":"user:ada","data":{"digest":"sha256:b2ff6d2fd87d90514ef85ae89f892c12538ae92fc70d655b'
        b'2991eb69107ceb83","media_type":"text/markdown","size_bytes":8},"id":"019a9f60-7c00-7000-8a00-'
        b'000000000001","position":1,"stream":"artifact/PRD/main","time":"2026-11-20T10:00:00.000000Z",'
        b'"type":"ArtifactWritten","version":1}'
    ),
    (
        b'{"actor":"build:ci","data":{"result":"PASSED"},"id":"019a9f60-7c00-7000-8a00-000000000002",'
        b'"position":2,"stream":"run/r1","time":"2026-11-20T10:00:01.000000Z",'
        b'"type":"VerificationRecorded","version":1}'
    ),
    (
        b'{"actor":"user:bob","data":{"decision":"approved"},"id":"019a9f60-7c00-7000-8a00-000000000003"'
        b',"position":3,"stream":"run/r1","time":"2026-11-20T10:00:02.000000Z",'
        b'"type":"ApprovalRecorded","version":2}'
    ),
)
LEAVES = (
    "b6613b5f58cd5d5110f0076057f1ee0d830e75c6efc7f522c1596c26312e63c0",
    "4a4ef7bd2288791c5bc3870c80043a48f66b70ddf4586d57cdbfcdd14d586608",
    "3aceb35695a4fee6c8dc9b9ee96eefcfeba8ffcf614792186edd3010c49535c7",
)


@pytest.mark.parametrize(("line", "leaf"), list(zip(GOLDEN, LEAVES, strict=True)))
def test_a_golden_line_reads_and_encodes_to_itself(line: bytes, leaf: str) -> None:
    event = parse(line)
    again = encode_line(
        StoredLine(
            actor=event.actor,
            data=msgspec.Raw(canonical.write(event.data)),
            id=event.id,
            position=event.position,
            stream=event.stream,
            time=event.time,
            type=event.type,
            version=event.version,
        )
    )
    assert again == line
    assert hashlib.sha256(b"\0" + line).hexdigest() == leaf


@given(st.integers(0, len(GOLDEN[0]) - 1), st.integers(1, 255))
def test_no_other_spelling_of_a_line_is_read_as_the_same_event(place: int, flip: int) -> None:
    changed = bytearray(GOLDEN[0])
    changed[place] ^= flip
    try:
        event = parse(bytes(changed))
    except Damaged:
        return
    assert event != parse(GOLDEN[0])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        GOLDEN[0] + b"\n",
        GOLDEN[0].replace(b'"version":1', b'"version":1.0'),
        GOLDEN[0].replace(b'"version":1', b'"version":1,"extra":1'),
        GOLDEN[0].replace(b'{"actor"', b'{ "actor"'),
        GOLDEN[0].replace(b'"ArtifactWritten"', b'"os.system"'),
        GOLDEN[0].replace(b'"size_bytes":8', b'"size_bytes":8,"size_bytes":8'),
        GOLDEN[0].replace(b'"size_bytes":8', b'"size_bytes":8,"unknown":8'),
        GOLDEN[0].replace(b"user:ada", b"user:\\u0061da"),
        GOLDEN[0].replace(b"user:ada", b"user:\xff"),
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_not_canonical_is_damaged(line: bytes) -> None:
    with pytest.raises(Damaged):
        parse(line)


def test_an_unknown_type_imports_nothing() -> None:
    with pytest.raises(Invalid) as caught:
        read_data("antigravity", {})
    assert caught.value.code == "unknown-event-type"


def test_an_unknown_field_is_refused_with_its_place() -> None:
    with pytest.raises(Invalid) as caught:
        read_data("RunCreated", {"title": "x", "artifacts": [{"kind": 1}]})
    assert caught.value.pointer is not None
    assert caught.value.pointer.startswith("/data/artifacts/0")


def test_a_line_longer_than_a_tile_entry_is_refused() -> None:
    data = canonical.write(
        ArtifactWritten(digest="d", size_bytes=1, media_type="t", title="x" * 65_535)
    )
    line = StoredLine(
        actor="a",
        data=msgspec.Raw(data),
        id="i",
        position=1,
        stream="s",
        time="t",
        type="t",
        version=1,
    )
    with pytest.raises(TooLarge) as caught:
        encode_line(line)
    assert caught.value.code == "event-too-large"


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_type_is_frozen_and_refuses_unknown_fields(name: str) -> None:
    kind = EVENT_TYPES[name]
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.forbid_unknown_fields
    assert kind.__struct_config__.omit_defaults


def test_the_contents_of_an_event_are_found() -> None:
    content = {"digest": "sha256:" + "0" * 64, "size_bytes": 1, "media_type": "text/plain"}
    plan = read_data("PlanRecorded", {"content": content})
    assert [found.size_bytes for found in contents_of(plan)] == [1]
    assert contents_of(read_data("RunStarted", {})) == ()
