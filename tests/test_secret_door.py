"""Secrets at the door: in every type of event, at every place of it, by either policy, over HTTP too."""

import itertools
import secrets
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest

from adapters.secret_rules import secret_rules
from app.door import Checked, EventInput, check_event
from app.redaction import redact_bytes
from app.secret_door import screen_content
from domain import canonical
from domain.digest import digest_of
from domain.errors import Invalid
from domain.events import EVENT_TYPES, Content, contents_of
from domain.secret_finding import fingerprint
from domain.secret_policy import SecretPolicy
from tests.secret_samples import planted
from tests.serving import Served
from tests.test_secrets import GITHUB, OWN

RULES = secret_rules().rules
REPLACE = SecretPolicy(mode="replace")
STREAMS = ("project", "artifact/PRD/main", "run/r1")
ID = "0198f1c2-5f1e-7a10-8f00-1234567890ab"
PLAIN = "Plain."


def places(kind: object, pointer: str = "") -> Iterator[str]:
    """The JSON Pointers of every text that data of this type can have; `0` stands for any item."""
    match kind:
        case msgspec.inspect.StrType():
            yield pointer
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                yield from places(field.type, f"{pointer}/{field.encode_name}")
        case (
            msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.ListType(item_type=item)
        ):
            yield from places(item, f"{pointer}/0")
        case msgspec.inspect.DictType(value_type=value):
            yield from places(value, f"{pointer}/member")
        case msgspec.inspect.UnionType(types=types):
            for one in types:
                yield from places(one, pointer)
        case msgspec.inspect.AnyType() | msgspec.inspect.RawType():
            yield pointer


def sample(kind: object) -> object:
    """The smallest value of a type: what is required, and an item in every list."""
    match kind:
        case msgspec.inspect.StrType():
            return PLAIN
        case msgspec.inspect.StructType(fields=fields):
            return {one.encode_name: sample(one.type) for one in fields}
        case (
            msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.ListType(item_type=item)
        ):
            return [sample(item)]
        case msgspec.inspect.DictType(value_type=value):
            return {"member": sample(value)}
        case msgspec.inspect.UnionType(types=types):
            return sample(
                next(one for one in types if not isinstance(one, msgspec.inspect.NoneType))
            )
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.IntType():
            return 1
    return None


def data_with(kind: object, pointer: str, text: str) -> Any:
    data: Any = sample(kind)
    *path, last = pointer.split("/")[1:]
    at = data
    for step in path:
        at = at[int(step)] if step.isdigit() else at[step]
    at[int(last) if last.isdigit() else last] = text
    return data


PLACES = [
    (name, pointer)
    for name, kind in EVENT_TYPES.items()
    for pointer in places(msgspec.inspect.type_info(kind))
]


def check(given: EventInput, policy: SecretPolicy = SecretPolicy()) -> Checked:
    return check_event(given, lambda _: None, lambda: ID, lambda: policy)


def refused(given: EventInput, policy: SecretPolicy = SecretPolicy()) -> Invalid:
    with pytest.raises(Invalid) as caught:
        check(given, policy)
    assert caught.value.code == "secret-detected", caught.value.detail
    return caught.value


def _member(found: Checked, name: str) -> object:
    return canonical.read(canonical.write(found.data))[name]  # type: ignore[index]  # an object


def stream_of(name: str) -> str:
    return "artifact/PRD/main" if name == "ArtifactWritten" else "run/r1"


def test_every_type_of_event_with_a_text_has_places() -> None:
    without = set(EVENT_TYPES) - {name for name, _ in PLACES}
    assert without == {"RunStarted", "RunResumed"}
    assert ("TranscriptRecorded", "/command/0") in PLACES
    assert ("ArtifactWritten", "/citations/0/url") in PLACES


@pytest.mark.parametrize(("name", "pointer"), PLACES)
def test_every_kind_of_secret_is_refused_at_every_place_of_every_event(
    name: str, pointer: str
) -> None:
    kind = msgspec.inspect.type_info(EVENT_TYPES[name])
    for rule, secret in SECRETS.items():
        given = EventInput(
            stream=stream_of(name), type=name, data=data_with(kind, pointer, f"a {secret} b")
        )
        error = refused(given)
        assert error.pointer == f"/data{pointer}", rule
        assert secret not in error.detail
        assert secret not in str(error.members)


WITH_CONTENT = [
    name
    for name, kind in EVENT_TYPES.items()
    if "content" in kind.__struct_fields__ or issubclass(kind, Content)
]
SECRETS = {rule.id: planted(rule).decode("latin-1") for rule in RULES}


@pytest.mark.parametrize("name", WITH_CONTENT)
def test_a_secret_in_a_content_is_refused_with_its_line(name: str) -> None:
    kind = EVENT_TYPES[name]
    data: Any = sample(msgspec.inspect.type_info(kind))
    about = data if name == "ArtifactWritten" else data["content"]
    for fact in ("digest", "size_bytes"):
        del about[fact]
    for rule, secret in SECRETS.items():
        content = f"one\ntwo {secret}\n".encode()
        error = refused(EventInput(stream=stream_of(name), type=name, data=data, content=content))
        assert (error.pointer, error.members["line"] in {2, 3}) == ("/content", True), rule


@pytest.mark.parametrize("stream", ["artifact/PRD/" + GITHUB, "artifact/NOTE/x." + OWN])
def test_a_secret_in_a_stream_s_name_is_refused_by_either_policy(stream: str) -> None:
    for policy in (SecretPolicy(), REPLACE):
        given = EventInput(stream=stream, type="ArtifactWritten", data={}, content=b"x")
        assert refused(given, policy).pointer == "/stream"


def test_a_project_that_replaces_gets_the_rest_of_the_event() -> None:
    found = check(
        EventInput(
            stream="run/r1",
            type="TranscriptRecorded",
            data={
                "command": ["psql", "--password", "hunter2", GITHUB],
                "exit_code": 0,
                "duration_ms": 1,
                "content": {"media_type": "text/plain"},
            },
            content=f"token {GITHUB}\n".encode(),
        ),
        REPLACE,
    )
    assert found.content == b"token [redacted:github-pat]\n"
    assert contents_of(found.data)[0].digest == digest_of(found.content)
    assert _member(found, "command") == [
        "psql", "--password", "[redacted:secret-argument]", "[redacted:github-pat]"
    ]  # fmt: skip
    assert [(one.pointer, one.rule) for one in found.redactions] == [
        ("/data/command/2", "secret-argument"),
        ("/data/command/3", "github-pat"),
        ("/content", "github-pat"),
    ]
    assert GITHUB.encode() not in canonical.write(found.data)


def test_a_content_under_a_digest_that_was_given_is_refused_though_the_project_replaces() -> None:
    content = f"# x\n{GITHUB}\n".encode()
    data = {"media_type": "text/markdown", "digest": digest_of(content), "size_bytes": len(content)}
    given = EventInput(
        stream="artifact/PRD/main", type="ArtifactWritten", data=data, content=content
    )
    assert refused(given, REPLACE).pointer == "/content"


def test_a_secret_in_a_content_that_is_no_text_is_refused_though_the_project_replaces() -> None:
    content = b"\0\xff " + GITHUB.encode()
    with pytest.raises(Invalid, match="github-pat"):
        screen_content(content, "application/pdf", lambda: REPLACE)
    with pytest.raises(Invalid, match="github-pat"):
        redact_bytes(content, "application/pdf")


@pytest.mark.parametrize("policy", [SecretPolicy(), REPLACE])
def test_what_was_looked_at_and_allowed_comes_in_as_it_is(policy: SecretPolicy) -> None:
    allowed = msgspec.structs.replace(policy, allowed=frozenset({fingerprint(GITHUB.encode())}))
    given = EventInput(
        stream="artifact/PRD/main",
        type="ArtifactWritten",
        data={"media_type": "text/plain", "title": GITHUB},
        content=GITHUB.encode(),
    )
    found = check(given, allowed)
    assert (_member(found, "title"), found.content) == (GITHUB, GITHUB.encode())
    assert found.redactions == ()
    other = msgspec.structs.replace(given, content=f"{GITHUB} {OWN}".encode(), id=ID)
    if policy.mode == "refuse":
        assert refused(other, allowed).members["rule"] == "deedbook-token"
    else:
        assert check(other, allowed).content == f"{GITHUB} [redacted:deedbook-token]".encode()


def test_the_refusal_names_the_fingerprint_that_would_let_it_through() -> None:
    given = EventInput(stream="run/r1", type="RunCreated", data={"title": GITHUB})
    error = refused(given)
    named = str(error.members["fingerprint"])
    assert named in error.detail
    assert check(given, SecretPolicy(allowed=frozenset({named}))).redactions == ()


def test_an_event_without_a_secret_does_not_ask_for_the_policy() -> None:
    def asked() -> SecretPolicy:
        raise AssertionError

    given = EventInput(
        stream="artifact/PRD/main",
        type="ArtifactWritten",
        data={"media_type": "text/markdown", "title": "Plain"},
        content=b"# Plain\n\nNothing secret here.\n",
    )
    assert check_event(given, lambda _: None, lambda: ID, asked).redactions == ()


def kept(served: Served, project: str) -> tuple[int, int, int]:
    """The log's size, and the rows of contents and uploads."""
    counts = [
        served.execute(f"SELECT 1 FROM {table} WHERE project_id = %s", project)
        for table in ("blob", "upload")
    ]
    return served.ledger.position(project, None), *counts  # type: ignore[return-value]


@pytest.mark.parametrize("name", sorted({name for name, _ in PLACES}))
def test_over_http_a_secret_is_a_problem_and_nothing_is_recorded(
    served: Served, http: httpx2.Client, project: str, name: str
) -> None:
    mine = [pointer for event, pointer in PLACES if event == name]
    before = kept(served, project)
    kind = msgspec.inspect.type_info(EVENT_TYPES[name])
    event = {
        "stream": stream_of(name), "type": name, "data": data_with(kind, mine[-1], f"x {GITHUB}"),
    }  # fmt: skip
    good = {"stream": "run/r1", "type": "RunCreated", "data": {"title": "x"}}
    answer = http.post(f"/v1/projects/{project}/events", json={"events": [good, event]})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "secret-detected")
    assert problem["errors"][0]["pointer"] == f"/events/1/data{mine[-1]}"
    assert problem["rule"] == "github-pat"
    assert GITHUB not in answer.text
    assert kept(served, project) == before


def test_over_http_no_other_way_lets_a_secret_in(
    served: Served, http: httpx2.Client, project: str
) -> None:
    before = kept(served, project)
    at = f"/v1/projects/{project}"
    content = f"# Title\n\n{GITHUB}\n"
    raw = content.encode()
    plain = {"type": "RunCreated", "data": {"title": "x"}}
    answers = [
        http.put(f"{at}/blobs/{digest_of(raw)}", content=raw),
        http.post(f"{at}/artifacts/PRD/main/versions", json={"content": content}),
        http.post(f"{at}/artifacts/PRD/main/versions", json={"content": "x", "title": OWN}),
        http.post(f"{at}/streams/run/r1", json=plain, headers={"Idempotency-Key": GITHUB}),
        http.patch(at, json={"description": content}),
        http.post("/v1/projects", json={"slug": f"q-{secrets.token_hex(5)}", "title": OWN}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "secret-detected"), answer.text
        assert GITHUB not in answer.text
        assert OWN not in answer.text
    assert answers[0].json()["errors"][0]["pointer"] == "/content"
    assert answers[0].json()["line"] == 3
    assert answers[1].json()["errors"][0]["pointer"] == "/content"
    assert answers[2].json()["errors"][0]["pointer"] == "/title"
    assert kept(served, project) == before


def test_samples_of_rules_differ() -> None:
    assert all(a != b for a, b in itertools.pairwise(SECRETS.values()))
