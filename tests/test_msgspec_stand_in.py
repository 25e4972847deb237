"""The stand-in for `msgspec` in the verifier's one file accepts, refuses and writes what `msgspec` does."""

import base64
import json
import sys
import types
import typing
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import app.offline.verifier.msgspec as stand_in
from app.offline.verifier.msgspec import marks, plain, structs
from app.offline.verifier.msgspec.convert import table_of
from app.offline.verifier.msgspec.errors import Wrong
from app.offline.verifier.msgspec.struct_type import REQUIRED, is_struct
from domain import canonical, errors, events
from domain.errors import Damaged
from tests.export_samples import sample_log
from tests.twin_modules import twin_modules

MODULES = (
    "app.offline.verifier.main",
    "domain.key_change",
    "domain.seal",
    "domain.sigstore_bundle",
    "domain.trust",
)
TWINS = twin_modules(*MODULES)
NEVER_READ = {
    "app.offline.fork_evidence.Fork",
    "app.offline.verify_given.Given",
    "app.offline.verify_given.Verified",
    "domain.key_change.KeyChange",
    "domain.trust.LogKey",
    "domain.trust.Trust",
    "projections.bundle.Bundle",
    "projections.bundle.Member",
    "projections.bundle.Selection",
    "projections.bundle._Planned",
    "domain.witness_policy.Quorum",
    "projections.verify_evidence.Evidence",
    "projections.verify_evidence.Signatures",
}
"""The structs of types that JSON does not have: the stand-in says so when it is asked to read one."""
ENDLESS = {"domain.witness_policy.Policy", "domain.witness_policy.PolicyGroup"}
"""Those that hold others of their kind, of which no document is made; a policy is a text of lines."""

# How deep is too deep is the interpreter's to say; up to 3.11 it says the same to both.
DEEP = "[" * 3_000 + "]" * 3_000 if sys.version_info < (3, 12) else "[[[[]]]]"
JUNK = (
    *("null", "true", "false", "0", "-0", "1", "1.0", "-0.0", "1e2", "100e-2", "1e400", "-1e400"),
    *(
        "9007199254740992",
        "18446744073709551616",
        "-9223372036854775809",
        "1" * 4_300,
        "-" + "1" * 4_300,
    ),
    *("1" * 4_301, "-" + "1" * 4_301, "1" * 400 + ".0", "01", "+1", "1.", ".5", "-", "1e", "0x1"),
    *("NaN", "Infinity", "-Infinity", "nul", "True", "[]", "{}", "[1,]", "[,]", '{"a":1,}', "{,}"),
    *('{"a":1,"a":2}', '{"a":"x","a":2}', "[[[[1]]]]", DEEP, "[" * 40, ""),
    *('""', '"a"', '"1"', '"\\u0041"', '"\\/"', '"\\x"', '"\\u00"', '"\\u0000"', '"\x7f"', '"é"'),
    *(
        '"a\x01"',
        '"a\nb"',
        '"\\ud800"',
        '"\\udc00"',
        '"\\udc80"',
        '"\\ud83d\\ude00"',
        '"\\\\ud800"',
    ),
    *(
        '"\\ude00\\ud83d"',
        '"\\ud800\\u0041"',
        '"\\ud800x"',
        '{"\\ud800":1}',
        '"a',
        "'a'",
        "1 1",
        "//",
    ),
    *(
        '"PASSED"',
        '"succeeded"',
        '"approved"',
        '"0"',
        '"https://in-toto.io/Statement/v1"',
        '{"x":1}',
    ),
)
"""Texts that may stand where a value belongs."""


def structs_of() -> Iterator[tuple[str, Any, Any]]:
    """Each struct that can be in the file: its name, ours, and its twin."""
    for name, twin in TWINS.items():
        if name.startswith("app.offline.verifier."):
            continue
        real = __import__(name, fromlist=["_"])
        for member, kind in vars(twin).items():
            if is_struct(kind) and kind.__module__ == name:
                yield f"{name}.{member}", getattr(real, member), kind


STRUCTS = {name: (ours, twin) for name, ours, twin in structs_of()}
OURS = msgspec.json.Encoder(order="sorted")
TWIN = stand_in.json.Encoder(order="sorted")
READ = sorted(STRUCTS.keys() - NEVER_READ - ENDLESS)


def outcome(read: Callable[[], object], write: Callable[[Any], bytes]) -> tuple[str, object]:
    """What comes of reading: the bytes when written again, or the kind of refusal."""
    try:
        value = read()
    except (msgspec.ValidationError, stand_in.ValidationError) as error:
        return "refused", str(error).partition(" - at ")[
            2
        ]  # the place; a huge number has two names
    except (msgspec.DecodeError, stand_in.DecodeError, UnicodeDecodeError, RecursionError):
        return "unreadable", ""
    try:
        return "read", write(value)
    except (UnicodeDecodeError, TypeError):
        return "unwritable", ""


@cache
def decoders(name: str) -> tuple[Any, Any]:
    """Of both, for one struct."""
    ours, twin = STRUCTS[name]
    return msgspec.json.Decoder(ours), stand_in.json.Decoder(twin)


def compare(name: str, raw: bytes) -> str:
    """Read the same bytes with both, and hold the outcomes against each other."""
    ours, twin = decoders(name)
    one = outcome(lambda: ours.decode(raw), OURS.encode)
    other = outcome(lambda: twin.decode(raw), TWIN.encode)
    if other[0] == "unwritable":  # Raw that is not UTF-8: whoever reads it on refuses it
        assert b"\\" not in raw or one[0] == "read"
        return one[0]
    kinds = {one[0], other[0]}
    # What comes first in a document is found first, and the two look in another order.
    assert len(kinds) == 1 or kinds == {"refused", "unreadable"}, (raw, one, other)
    if kinds != {"refused", "unreadable"}:
        assert one == other, raw
    return one[0]


def text_of(kind: Any) -> st.SearchStrategy[str]:
    """JSON for a type, right in most of its places."""
    right = _right(kind)
    return st.one_of(right, right, right, right, st.sampled_from(JUNK))


@cache
def _right(kind: Any) -> st.SearchStrategy[str]:
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            return text_of(arguments[0])
        case origin if origin is Literal:
            return st.sampled_from(arguments).map(json.dumps)
        case typing.Union | types.UnionType:
            return st.one_of([text_of(one) for one in arguments])
        case origin if origin is tuple:
            return st.lists(text_of(arguments[0]), max_size=3).map(
                lambda items: f"[{','.join(items)}]"
            )
        case origin if origin is dict:
            return _object(st.tuples(st.text(max_size=3).map(json.dumps), text_of(arguments[1])))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind)
    if kind is str:
        return st.text(max_size=6).map(
            lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0)
        )
    if kind is bytes:
        return st.binary(max_size=6).map(lambda raw: f'"{raw.hex()}"')
    if kind is int:
        return st.one_of(st.integers(-1, 4), st.integers()).map(str)
    if kind is bool:
        return st.sampled_from(["true", "false"])
    if kind is type(None):
        return st.just("null")
    if kind is object:
        return st.sampled_from(["null", "true", "1", '"x"', "[2]", '{"a":[]}'])
    assert kind is msgspec.Raw, kind
    return st.sampled_from(JUNK)


def _struct(kind: type[msgspec.Struct]) -> st.SearchStrategy[str]:
    hints = typing.get_type_hints(kind, include_extras=True)
    members = {
        encoded: text_of(hints[field])
        for encoded, field in zip(
            kind.__struct_encode_fields__, kind.__struct_fields__, strict=True
        )
    }
    known = st.sampled_from([*members, "unknown"] if members else ["unknown"])
    whole = st.fixed_dictionaries({json.dumps(name): text for name, text in members.items()})
    junk = st.tuples(known.map(json.dumps), st.sampled_from(JUNK))
    one = known.flatmap(
        lambda name: st.tuples(st.just(json.dumps(name)), members.get(name, st.just("1")))
    )
    return st.one_of(
        whole.map(lambda pairs: _spell(list(pairs.items()))),
        st.tuples(whole, st.lists(st.one_of(one, junk), max_size=2), st.booleans()).map(
            lambda given: _spell(
                [*given[1], *given[0].items()] if given[2] else [*given[0].items(), *given[1]]
            )
        ),
        _object(one),
    )


def _whole(kind: type[msgspec.Struct]) -> list[tuple[str, str]]:
    """The members of a small document that is right."""
    hints = typing.get_type_hints(kind, include_extras=True)
    pairs = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
    return [(json.dumps(encoded), _small(hints[field])) for encoded, field in pairs]


def _small(kind: Any) -> str:
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin is Literal:
            return json.dumps(arguments[0])
        case origin if origin is tuple:
            return "[]"
        case origin if origin is dict:
            return "{}"
        case origin if origin is not None:
            return _small(arguments[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _spell(_whole(kind))
    return {str: '"a"', bytes: '""', int: "1", bool: "true", msgspec.Raw: "1"}[kind]


def _object(member: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[str]:
    return st.lists(member, max_size=4).map(_spell)


def _spell(members: list[tuple[str, str]]) -> str:
    space = " " if len(members) % 3 == 2 else ""
    inside = f"{space},".join(f"{name}{space}:{space}{value}" for name, value in members)
    return "{" + inside + "}"


def test_every_struct_of_the_file_has_a_twin_with_the_same_members() -> None:
    assert len(STRUCTS) > 60
    assert STRUCTS.keys() > NEVER_READ
    for name, (ours, twin) in STRUCTS.items():
        assert twin.__struct_fields__ == ours.__struct_fields__, name
        assert twin.__struct_encode_fields__ == ours.__struct_encode_fields__, name
        assert twin.__match_args__ == ours.__match_args__, name
        trailing = [one is msgspec.NODEFAULT for one in ours.__struct_defaults__]
        required = [True] * (len(ours.__struct_fields__) - len(trailing)) + trailing
        assert [one is REQUIRED for one in twin.__struct_defaults__] == required, name


@pytest.mark.parametrize("name", sorted(NEVER_READ))
def test_what_the_stand_in_cannot_read_it_refuses_to_try(name: str) -> None:
    with pytest.raises(TypeError, match="stand-in"):
        stand_in.json.Decoder(STRUCTS[name][1])


def test_every_type_of_event_is_among_those_compared() -> None:
    assert {f"domain.events.{name}" for name in events.EVENT_TYPES} < set(READ)


@pytest.mark.parametrize("name", READ)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_documents_are_read_alike(name: str, data: st.DataObject) -> None:
    text = data.draw(_struct(STRUCTS[name][0]))
    compare(name, text.encode("utf-8", "surrogatepass"))


@settings(max_examples=500, deadline=None)
@given(
    line=st.sampled_from(sample_log().lines),
    at=st.integers(0, 600),
    byte=st.one_of(st.sampled_from(b'"\\{}[],:0-.eu \n\xff\xc3\xed\x00'), st.integers(0, 255)),
    cut=st.integers(0, 3),
)
def test_damaged_lines_are_read_alike(line: bytes, at: int, byte: int, cut: int) -> None:
    at %= len(line)
    damaged = line[:at] + bytes([byte]) + line[at + cut :]
    compare("domain.events.StoredLine", damaged)
    try:
        ours = canonical.write(events.parse(damaged))
    except Damaged:
        with pytest.raises(TWINS["domain.errors"].Damaged):
            TWINS["domain.events"].parse(damaged)
    else:
        assert TWINS["domain.canonical"].write(TWINS["domain.events"].parse(damaged)) == ours


@pytest.mark.parametrize("name", READ)
def test_each_way_to_be_wrong_is_refused_by_both_in_every_member(name: str) -> None:
    ours = STRUCTS[name][0]
    whole = _whole(ours)
    assert compare(name, _spell(whole).encode()) == "read"
    for member in (*ours.__struct_encode_fields__, "unknown"):
        for junk in JUNK:
            compare(name, f'{{"{member}":{junk}}}'.encode())
            compare(name, _spell([*whole, (json.dumps(member), junk)]).encode())
        for raw in (b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xf5\x80\x80\x80"):
            compare(name, b'{"' + member.encode() + b'":"' + raw + b'"}')
            compare(name, b'{"' + raw + b'":1}')
            compare(name, b'{"' + raw + b'":"\\ud800"}')
    for raw in (
        b"",
        b" ",
        b"[]",
        b"null",
        b"1",
        b'"a"',
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"\x0b{}",
        b"{",
    ):
        compare(name, raw)
        compare(name, b" \t\r\n" + raw + b"\n ")


@pytest.mark.parametrize("junk", [*JUNK, "[1.5]", '{"a":[{"b":null}]}', "{} ", '["\\ud800"]'])
def test_untyped_json_is_read_alike(junk: str) -> None:
    raw = junk.encode()
    assert _plain(msgspec.json.decode, raw) == _plain(stand_in.json.decode, raw)
    for bad in (b'"\xff"', b'{"\xff":1}', b'["a\xff"]'):
        assert _plain(msgspec.json.decode, bad) == _plain(stand_in.json.decode, bad) == "refused"


def _plain(decode: Callable[[bytes], object], raw: bytes) -> str:
    try:
        return repr(decode(raw))
    except (ValueError, RecursionError):
        return "refused"


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(st.text(max_size=5), inner, max_size=3),
        ),
        max_leaves=8,
    )
)
def test_values_are_written_alike(value: object) -> None:
    ordered = msgspec.json.Encoder(order="sorted").encode(value)
    assert stand_in.json.Encoder(order="sorted").encode(value) == ordered
    assert stand_in.json.encode(value) == msgspec.json.encode(value)
    assert stand_in.to_builtins(value) == msgspec.to_builtins(value)
    if isinstance(value, dict | list):
        assert stand_in.json.format(ordered) == msgspec.json.format(ordered, indent=2)


def test_what_has_no_utf_8_is_not_written() -> None:
    for encode in (msgspec.json.encode, stand_in.json.encode):
        with pytest.raises(UnicodeEncodeError):
            encode("\ud800")


@pytest.mark.parametrize("value", [1.5, {1, 2}, object(), {"a": b"x"}, {1: 2}])
def test_what_verification_never_writes_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        stand_in.json.encode(value)
    if not isinstance(value, dict):
        with pytest.raises(TypeError):
            stand_in.to_builtins(value)


@given(
    st.one_of(
        st.text(alphabet="AB+/=_-a \n\u00e9", max_size=9),
        st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode()),
    )
)
def test_base64_is_read_alike(text: str) -> None:
    found = []
    for convert, error in (
        (msgspec.convert, msgspec.ValidationError),
        (stand_in.convert, stand_in.ValidationError),
    ):
        try:
            found.append(convert(text, bytes))
        except error as refusal:
            found.append(str(refusal))
    assert found[0] == found[1]


@given(data=st.data(), name=st.sampled_from(sorted(events.EVENT_TYPES)))
def test_foreign_data_is_converted_alike(data: st.DataObject, name: str) -> None:
    value = data.draw(
        _struct(events.EVENT_TYPES[name]).map(
            lambda text: _plain_value(text) if len(text) < 4_000 else None
        )
    )
    found = []
    for module, family in ((events, errors), (TWINS["domain.events"], TWINS["domain.errors"])):
        try:
            found.append(repr(module.read_data(name, value)))
        except family.Invalid as error:
            found.append(f"{error.detail} {error.pointer}")
    assert found[0] == found[1]


def _plain_value(text: str) -> object:
    """What the door lets through; the conversion behind it sees nothing else."""
    try:
        return canonical.read(text.encode("utf-8", "surrogatepass"))
    except errors.DeedbookError:
        return {}


def test_structs_behave_alike() -> None:
    for library in (msgspec, stand_in):
        plainer, kind, child = _three_structs(library)
        assert hash(plainer(1)) == hash(plainer(1, 3)) != hash(plainer(2))
        one, same = kind(1, b="x"), kind(1, b="x")
        assert one == same
        assert one != kind(1, b="y")
        assert one != child(1, b="x")
        assert repr(child(2, b="z", d=4)) == "Child(a=2, c=3, d=4, b='z', e={})"
        assert library.structs.replace(one, a=5) == kind(5, b="x")
        assert kind(1, b="x").e is not kind(1, b="x").e
        wrong: list[Callable[[], object]] = [
            kind,
            partial(kind, 1, 2, 3, b="x"),
            partial(kind, 1, b="x", z=1),
            partial(library.structs.replace, one, z=1),
        ]
        for call in wrong:
            with pytest.raises(TypeError):
                call()
        with pytest.raises(AttributeError):
            one.a = 2
        with pytest.raises(AttributeError):
            del one.a
        # By identity, so that what was written with a default of its own stays as it was written.
        assert library.json.encode(kind(1, b="x", e={})) == b'{"a":1,"b":"x"}'
        assert library.json.encode(kind(1, 2, b="x")) == b'{"a":1,"c":2,"b":"x"}'


def _three_structs(library: Any) -> tuple[Any, Any, Any]:
    make = type(library.Struct)
    kind = make(
        "Kind",
        (library.Struct,),
        {"__annotations__": {"a": int, "c": int}, "c": 3, "__module__": __name__},
        frozen=True,
        omit_defaults=True,
        gc=False,
    )
    both = make(
        "Both",
        (kind,),
        {"__annotations__": {"b": str, "e": dict[str, int]}, "e": {}, "__module__": __name__},
        kw_only=True,
        frozen=True,
    )
    child = make(
        "Child",
        (both,),
        {"__annotations__": {"d": int}, "d": 0, "__module__": __name__},
        frozen=True,
    )
    return kind, both, child


def _make(name: str, body: dict[str, object], *, base: Any = None, **options: object) -> Any:
    """A class of the stand-in's."""
    make: Any = type(stand_in.Struct)
    return make(name, (base or stand_in.Struct,), body, **options)


def test_a_struct_that_is_not_frozen_can_be_changed_and_is_no_key() -> None:
    one: Any = _make("Open", {"__annotations__": {"a": int}, "a": 0})()
    one.a = 7
    assert one.a == 7
    with pytest.raises(TypeError):
        hash(one)


def test_options_and_types_beyond_what_is_used_are_refused() -> None:
    with pytest.raises(TypeError, match="no option"):
        _make("X", {}, tag=True)
    with pytest.raises(TypeError, match="changed from outside"):
        _make("X", {"__annotations__": {"a": list}, "a": [1]})
    with pytest.raises(TypeError, match="rename"):
        _make("X", {"__annotations__": {"a": int}}, rename="kebab")
    with pytest.raises(TypeError, match="base class"):
        _make("X", {"__annotations__": {"digest": int}}, base=STRUCTS["domain.events.Content"][1])
    for kind in (set[int], dict[int, int], tuple[int, str], float, Literal[1], int | str | bytes):
        with pytest.raises(TypeError, match="stand-in"):
            table_of(kind)
    for kind in (Annotated[int, "a word"], Annotated[int | str, marks.Meta(ge=1)]):
        with pytest.raises(TypeError, match="annotation"):
            table_of(kind)
    with pytest.raises(TypeError, match="strict"):
        stand_in.json.Decoder(int, strict=False)
    with pytest.raises(TypeError, match="convert"):
        stand_in.convert({1}, dict[str, int])


def test_lists_and_constraints_are_read_alike() -> None:
    for kinds in (
        (list[int], list[int]),
        (list[int | None] | None, list[int | None] | None),
        (
            Annotated[str, msgspec.Meta(min_length=1, max_length=2, pattern="^a")],
            Annotated[str, marks.Meta(min_length=1, max_length=2, pattern="^a")],
        ),
        (
            Annotated[int, msgspec.Meta(ge=-1, le=2)] | None,
            Annotated[int, marks.Meta(ge=-1, le=2)] | None,
        ),
    ):
        for junk in (
            *JUNK,
            "[1,2]",
            "[1,null]",
            '"aé"',
            '"ab"',
            '"abc"',
            '"b"',
            "-1",
            "-2",
            "2",
            "3",
        ):
            one, other = (
                outcome(partial(library.json.decode, junk.encode(), type=kind), library.json.encode)
                for library, kind in zip((msgspec, stand_in), kinds, strict=True)
            )
            assert one[0] == other[0] or {one[0], other[0]} == {"refused", "unreadable"}, junk
            assert one[0] != "read" or one == other


def test_text_is_read_like_bytes() -> None:
    assert stand_in.json.decode('{"a":"é"}', type=dict[str, str]) == {"a": "é"}


def test_errors_are_of_one_family() -> None:
    for library in (msgspec, stand_in):
        assert issubclass(library.ValidationError, library.DecodeError)
        assert issubclass(library.DecodeError, library.MsgspecError)
        assert issubclass(library.DecodeError, ValueError)
        assert issubclass(library.EncodeError, library.MsgspecError)
        assert not issubclass(library.EncodeError, ValueError)
    assert not issubclass(Wrong, ValueError)
    assert plain.to_builtins is stand_in.to_builtins
    assert structs is stand_in.structs
