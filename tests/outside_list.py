"""The written list: what we refuse and a program of others accepts. It is also in docs/outside-verifiers.md.

Whatever else they accept and we refuse is a fault of one of us, and fails a test.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

SIGSTORE = "@sigstore/verify"
DSSE = "securesystemslib"
STATEMENT = "in-toto-attestation"
GO = "x/mod"
OPENSSL = "openssl"

ACCEPTED_ELSEWHERE: Mapping[str, frozenset[str]] = {
    "outer-index": frozenset({SIGSTORE}),
    "proof-size": frozenset({SIGSTORE}),
    "proof-root": frozenset({SIGSTORE}),
    "envelope-keyid": frozenset({SIGSTORE}),
    "integrated-time": frozenset({SIGSTORE}),
    "media-type": frozenset({SIGSTORE}),
    "note-lines": frozenset({SIGSTORE}),
    "leaf-key": frozenset({SIGSTORE}),
    "leaf-spelling": frozenset({SIGSTORE}),
    "spelling": frozenset({SIGSTORE, DSSE}),
    "payload-type": frozenset({SIGSTORE, DSSE}),
    "statement": frozenset({SIGSTORE, DSSE, STATEMENT}),
    "several-signatures": frozenset({DSSE}),
    "key-range": frozenset({SIGSTORE, DSSE, GO, OPENSSL}),
    "repeated-line": frozenset({GO}),
    "note-spelling": frozenset({GO}),
    "note-limits": frozenset({GO}),
}

_ENTRY = "verificationMaterial.tlogEntries.0."
_ROW_OF_PLACE = {
    _ENTRY + "logIndex": "outer-index",
    _ENTRY + "inclusionProof.treeSize": "proof-size",
    _ENTRY + "inclusionProof.rootHash": "proof-root",
    _ENTRY + "integratedTime": "integrated-time",
    "dsseEnvelope.signatures.0.keyid": "envelope-keyid",
    "mediaType": "media-type",
}
_INDEX = _ENTRY + "inclusionProof.logIndex"
_NOTE = _ENTRY + "inclusionProof.checkpoint.envelope"
_LEFT_OUT = {_ENTRY + "logIndex": "0", _INDEX: "0", _ENTRY + "integratedTime": "0"}
"""What a parser of protobuf JSON reads where nothing stands."""


def rows_of_bundle(read: object, genuine: Iterable[bytes]) -> set[str] | None:
    """By which rows a bundle differs from a genuine one; None when by something that is on none.

    Args:
        read: A bundle as @sigstore/verify read it.
        genuine: Sidecars that we accept; the nearest counts.
    """
    places = _places(read)
    found = [_rows(places, _places(json.loads(one))) for one in genuine]
    return min((rows for rows in found if rows is not None), key=len, default=None)


def rows_of_envelope(envelope: Any, genuine: Any) -> set[str] | None:
    """By which rows a DSSE envelope differs from a genuine one."""
    [kept] = genuine["signatures"]
    same = [one for one in envelope["signatures"] if _raw(one["sig"]) == _raw(kept["sig"])]
    if not any(one["keyid"] == kept["keyid"] for one in same):
        return None
    if _raw(envelope["payload"]) != _raw(genuine["payload"]):
        return None
    if envelope["payloadType"] != genuine["payloadType"]:
        return None
    return {"several-signatures" if len(envelope["signatures"]) > 1 else "spelling"}


def rows_of_note(note: str, genuine: str) -> set[str] | None:
    """By which rows a signed note that Go accepts differs from the genuine one, whose text it has."""
    text, _, below = note.rpartition("\n\n")
    kept, _, line = genuine.rpartition("\n\n")
    if text != kept:
        return None
    first, *further = (one.split(" ") for one in below.removesuffix("\n").split("\n"))
    named = line.split(" ")[1]
    own = [one for one in (first, *further) if one[1] == named]
    if len(own) > 1:
        return {"repeated-line"}
    return {"note-spelling"} if own and _raw(own[0][2]) == _raw(line.split(" ")[2]) else None


def _rows(places: Mapping[str, Any], kept: Mapping[str, Any]) -> set[str] | None:
    rows = set()
    for place in places.keys() | kept.keys():
        one = places.get(place, _LEFT_OUT.get(place))
        other = kept.get(place, _LEFT_OUT.get(place))
        if one == other:
            continue
        if place == _INDEX and _number(one) == _number(other):
            rows.add("spelling")
        elif place == _NOTE and str(one).split("\n\n")[0] == str(other).split("\n\n")[0]:
            rows.add("note-lines")
        elif place in _ROW_OF_PLACE:
            rows.add(_ROW_OF_PLACE[place])
        else:
            return None
    return rows or {"spelling"}


def _places(value: Any, before: str = "") -> dict[str, Any]:
    """What stands where, without lists and objects that hold nothing."""
    if not isinstance(value, dict | list):
        return {before.removesuffix("."): value}
    members = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        place: one
        for name, member in members
        for place, one in _places(member, f"{before}{name}.").items()
    }


def _number(text: Any) -> int | None:
    """A number as JavaScript's BigInt reads it."""
    word = str(text).strip()
    try:
        return int(word, 0) if word[:2].lower() in ("0x", "0o", "0b") else int(word or "0")
    except ValueError:
        return None


def _raw(text: str) -> bytes | None:
    """Base64 as lenient readers have it: any alphabet, padded or not."""
    try:
        return base64.b64decode(text.strip().replace("-", "+").replace("_", "/") + "==")
    except (binascii.Error, ValueError):
        return None
