"""How waiting appends become entries: places, repeats, conflicts, contents. No database."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import merkle
from domain.append import Decided, Earlier, Known, decide, recall
from domain.digest import digest_of
from domain.errors import Conflict, DeedbookError, Gone, Invalid, StaleVersion, TooLarge
from domain.events import ArtifactErased, VerificationRecorded, parse
from domain.log import Append, Blob, Entry, LogHead, Receipt
from domain.times import EPOCH
from tests.log_samples import checking, proposed, writing

NOW = "2026-11-20T10:00:00.000000Z"
EMPTY = LogHead("alpha", "alpha.ledger.example", 0, (), EPOCH)
NOTHING = Known(heads={}, keys={}, ids={})


def recorded(outcome: Receipt | DeedbookError) -> tuple[Entry, ...]:
    assert isinstance(outcome, Receipt)
    assert not outcome.replayed
    return outcome.entries


def after(decided: Decided) -> Known:
    """What would be read of a log that these outcomes made."""
    entries = [
        entry for one in decided.outcomes if isinstance(one, Receipt) for entry in one.entries
    ]
    return Known(
        heads={entry.stream: entry.version for entry in entries},
        keys={},
        ids={entry.id: entry for entry in entries},
    )


def test_events_get_the_next_positions_and_the_next_versions_of_their_streams() -> None:
    requests = [writing("alpha", "a"), checking("alpha"), writing("alpha", "a")]

    decided = decide(requests, EMPTY, NOTHING, NOW)

    entries = [entry for one in decided.outcomes for entry in recorded(one)]
    assert [(one.position, one.stream, one.version) for one in entries] == [
        (1, "artifact/NOTE/a", 1),
        (2, "run/r1", 1),
        (3, "artifact/NOTE/a", 2),
    ]
    assert decided.head.size == 3


def test_a_batch_counts_the_versions_of_each_of_its_streams() -> None:
    passed = VerificationRecorded(result="PASSED")
    batch = Append(
        project="alpha",
        events=tuple(proposed(stream, passed) for stream in ("run/a", "run/b", "run/a")),
    )

    known = Known(heads={"run/a": 4}, keys={}, ids={})

    entries = recorded(decide([batch], EMPTY, known, NOW).outcomes[0])
    assert [one.version for one in entries] == [5, 1, 6]


def test_lines_carry_their_place_and_leaves_are_their_hashes() -> None:
    decided = decide([writing("alpha"), checking("alpha")], EMPTY, NOTHING, NOW)

    entries = [entry for one in decided.outcomes for entry in recorded(one)]
    for entry in entries:
        event = parse(entry.line)
        assert (event.position, event.stream, event.version) == (
            entry.position,
            entry.stream,
            entry.version,
        )
        assert (event.id, event.actor, event.time) == (entry.id, "user:ada", NOW)
        assert entry.leaf == merkle.leaf_hash(entry.line)
    assert merkle.root_of(decided.head.frontier) == merkle.tree_root([one.leaf for one in entries])


def test_time_does_not_fall_when_the_clock_does() -> None:
    later = "2026-11-20T11:00:00.000000Z"
    head = LogHead("alpha", "alpha.ledger.example", 0, (), later)

    decided = decide([checking("alpha")], head, NOTHING, NOW)

    assert parse(recorded(decided.outcomes[0])[0].line).time == later
    assert decided.head.last_time == later


def test_a_group_that_records_nothing_leaves_the_log_as_it_was() -> None:
    decided = decide([writing("alpha", expected=7)], EMPTY, NOTHING, NOW)

    assert decided.head == EMPTY


def test_a_stale_version_is_refused_with_the_current_one_and_uses_no_position() -> None:
    requests = [
        writing("alpha", "a", expected=0),
        writing("alpha", "a", expected=0),
        writing("alpha", "a", expected=1),
    ]

    first, stale, last = decide(requests, EMPTY, NOTHING, NOW).outcomes

    assert isinstance(stale, StaleVersion)
    assert stale.members == {"current_version": 1, "stream": "artifact/NOTE/a"}
    assert [one.position for one in recorded(first) + recorded(last)] == [1, 2]


def test_a_precondition_on_a_stream_that_the_batch_does_not_write_is_checked_too() -> None:
    request = Append(
        project="alpha", events=checking("alpha").events, expected=(("artifact/NOTE/a", 1),)
    )

    assert isinstance(decide([request], EMPTY, NOTHING, NOW).outcomes[0], StaleVersion)


def test_a_repeat_by_key_gets_its_first_answer_before_any_precondition() -> None:
    first = writing("alpha", "a", expected=0, request_key="k")
    again = writing("alpha", "a", expected=0, request_key="k")

    answer, repeated = decide([first, again], EMPTY, NOTHING, NOW).outcomes

    assert isinstance(repeated, Receipt)
    assert repeated.replayed
    assert repeated.entries == recorded(answer)


def test_a_repeat_by_key_is_recognised_from_what_was_stored() -> None:
    first = writing("alpha", request_key="k")
    entries = recorded(decide([first], EMPTY, NOTHING, NOW).outcomes[0])
    known = Known(heads={}, keys={"k": Earlier(first.request_sha256, entries)}, ids={})

    again = decide([writing("alpha", request_key="k")], EMPTY, known, NOW).outcomes[0]

    assert again == Receipt(entries, replayed=True)


def test_a_key_that_stood_for_another_request_is_refused() -> None:
    requests = [
        writing("alpha", content=b"one", request_key="k"),
        writing("alpha", content=b"two", request_key="k"),
    ]

    refused = decide(requests, EMPTY, NOTHING, NOW).outcomes[1]

    assert isinstance(refused, Invalid)
    assert refused.code == "idempotency-key-reused"


def test_a_repeat_by_event_ids_gets_its_first_answer_before_any_precondition() -> None:
    request = writing("alpha", expected=0)
    decided = decide([request], EMPTY, NOTHING, NOW)

    again = decide([request], decided.head, after(decided), NOW)

    assert again.outcomes[0] == Receipt(recorded(decided.outcomes[0]), replayed=True)
    assert again.head == decided.head


@pytest.mark.parametrize("change", ["stream", "type", "data", "actor"])
def test_an_event_id_with_other_content_is_refused(change: str) -> None:
    event = writing("alpha").events[0]
    first = decide([Append(project="alpha", events=(event,))], EMPTY, NOTHING, NOW)
    changed: dict[str, str | bytes] = {
        "stream": event.stream + "2",
        "type": "RunStarted",
        "data": b"{}",
        "actor": "user:bob",
    }
    other = msgspec.structs.replace(event, **{change: changed[change]})

    refused = decide(
        [Append(project="alpha", events=(other,))], first.head, after(first), NOW
    ).outcomes[0]

    assert isinstance(refused, Conflict)
    assert refused.code == "event-id-conflict"


def test_a_batch_of_which_a_part_is_recorded_is_refused() -> None:
    one, two = checking("alpha").events[0], checking("alpha").events[0]
    first = decide([Append(project="alpha", events=(one,))], EMPTY, NOTHING, NOW)

    refused = decide(
        [Append(project="alpha", events=(one, two))], first.head, after(first), NOW
    ).outcomes[0]

    assert isinstance(refused, Conflict)
    assert refused.code == "event-id-conflict"


def test_a_batch_with_one_id_twice_is_refused() -> None:
    event = checking("alpha").events[0]

    refused = decide(
        [Append(project="alpha", events=(event, event))], EMPTY, NOTHING, NOW
    ).outcomes[0]

    assert isinstance(refused, Conflict)
    assert refused.code == "event-id-conflict"


def test_recall_answers_none_for_a_request_that_is_new() -> None:
    assert recall(writing("alpha", request_key="k"), {}, {}) is None


def test_an_event_that_is_too_large_fails_its_own_request_only() -> None:
    large = Append(
        project="alpha",
        events=(proposed("run/r1", VerificationRecorded(result="PASSED", name="x" * 65_536)),),
    )

    refused, other = decide([large, checking("alpha")], EMPTY, NOTHING, NOW).outcomes

    assert isinstance(refused, TooLarge)
    assert recorded(other)[0].position == 1


SHA = hashlib.sha256(b"content").digest()


def naming(*, upload: bool) -> Append:
    """A request that names content which is uploaded, or was written before."""
    blobs = (Blob(SHA, 7, 0, None),) if upload else ()
    return Append(
        project="alpha",
        events=checking("alpha").events,
        blobs=blobs,
        referred=() if upload else (SHA,),
    )


@pytest.mark.parametrize("upload", [True, False])
def test_content_that_is_not_there_is_refused(upload: bool) -> None:
    known = Known(heads={}, keys={}, ids={}, absent=frozenset({SHA}))

    refused = decide([naming(upload=upload)], EMPTY, known, NOW).outcomes[0]

    assert isinstance(refused, Invalid)
    assert refused.code == "blob-not-found"


def test_content_that_comes_along_counts_as_there() -> None:
    request = writing("alpha", content=b"content")
    both = Append(project="alpha", events=request.events, blobs=request.blobs, referred=(SHA,))
    known = Known(heads={}, keys={}, ids={}, absent=frozenset({SHA}))

    recorded(decide([both], EMPTY, known, NOW).outcomes[0])


@pytest.mark.parametrize("upload", [True, False])
def test_content_that_an_earlier_request_of_the_group_brings_counts_as_there(
    upload: bool,
) -> None:
    known = Known(heads={}, keys={}, ids={}, absent=frozenset({SHA}))

    outcomes = decide(
        [writing("alpha", content=b"content"), naming(upload=upload)], EMPTY, known, NOW
    ).outcomes

    assert [recorded(one)[0].position for one in outcomes] == [1, 2]


def test_content_that_a_refused_request_would_have_brought_is_not_there() -> None:
    known = Known(heads={}, keys={}, ids={}, absent=frozenset({SHA}))

    outcomes = decide(
        [writing("alpha", content=b"content", expected=9), naming(upload=False)],
        EMPTY,
        known,
        NOW,
    ).outcomes

    assert isinstance(outcomes[1], Invalid)


@pytest.mark.parametrize(
    "request_", [writing("alpha", content=b"content"), naming(upload=True), naming(upload=False)]
)
def test_erased_content_cannot_be_written_or_named_again(request_: Append) -> None:
    known = Known(heads={}, keys={}, ids={}, absent=frozenset({SHA}), erased=frozenset({SHA}))

    refused = decide([request_], EMPTY, known, NOW).outcomes[0]

    assert isinstance(refused, Gone)
    assert refused.code == "content-erased"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 3), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 20),
)
def test_one_group_or_many_record_the_same_lines(
    wishes: list[tuple[str, int | None, bool]], size: int
) -> None:
    requests: list[Append] = []
    for key, expected, again in wishes:
        repeat = again and requests
        requests.append(requests[-1] if repeat else writing("alpha", key, expected=expected))

    whole = decide(requests, EMPTY, NOTHING, NOW)
    head, heads, ids = EMPTY, dict[str, int](), dict[str, Entry]()
    outcomes: list[Receipt | DeedbookError] = []
    for start in range(0, len(requests), size):
        part = decide(requests[start : start + size], head, Known(heads, {}, ids), NOW)
        head = part.head
        known = after(part)
        heads |= known.heads
        ids |= known.ids
        outcomes += part.outcomes

    assert head == whole.head
    assert [one if isinstance(one, Receipt) else one.code for one in outcomes] == [
        one if isinstance(one, Receipt) else one.code for one in whole.outcomes
    ]


def erasing(searched: int = 1) -> Append:
    data = ArtifactErased(
        artifact="artifact/NOTE/main", artifact_version=1, digest=digest_of(b"content"), reason="x"
    )
    return Append(
        project="alpha", events=(proposed("erasures", data),), erased=(SHA,), searched=searched
    )


def test_an_erasure_is_recorded_when_nothing_else_names_its_content() -> None:
    known = Known(heads={}, keys={}, ids={}, named_at={SHA: 5})

    assert [
        one.stream for one in recorded(decide([erasing(5)], EMPTY, known, NOW).outcomes[0])
    ] == ["erasures"]


@pytest.mark.parametrize(
    "known",
    [
        Known(heads={}, keys={}, ids={}, named_at={SHA: 2}),
        Known(heads={}, keys={}, ids={}, erased=frozenset({SHA})),
    ],
)
def test_an_erasure_of_what_changed_meanwhile_is_refused(known: Known) -> None:
    decided = decide([erasing()], EMPTY, known, NOW)

    refused = decided.outcomes[0]
    assert isinstance(refused, Conflict)
    assert refused.code == "erasure-changed"
    assert decided.head == EMPTY


@pytest.mark.parametrize(
    "earlier", [writing("alpha", content=b"content"), naming(upload=True), naming(upload=False)]
)
def test_an_erasure_behind_a_request_of_its_group_that_names_the_content_is_refused(
    earlier: Append,
) -> None:
    outcomes = decide([earlier, erasing()], EMPTY, Known(heads={}, keys={}, ids={}), NOW).outcomes

    assert recorded(outcomes[0])
    assert isinstance(outcomes[1], Conflict)
    assert outcomes[1].code == "erasure-changed"


@pytest.mark.parametrize(
    "later", [writing("alpha", content=b"content"), naming(upload=True), naming(upload=False)]
)
def test_a_content_cannot_be_named_behind_its_erasure_in_the_same_group(later: Append) -> None:
    outcomes = decide(
        [erasing(), later, erasing()], EMPTY, Known(heads={}, keys={}, ids={}), NOW
    ).outcomes

    assert recorded(outcomes[0])
    assert isinstance(outcomes[1], Gone)
    assert outcomes[1].code == "content-erased"
    assert isinstance(outcomes[2], Conflict)


def test_a_refused_erasure_erases_nothing_for_those_behind_it() -> None:
    known = Known(heads={}, keys={}, ids={}, named_at={SHA: 2})
    outcomes = decide([erasing(), writing("alpha", content=b"content")], EMPTY, known, NOW).outcomes

    assert isinstance(outcomes[0], Conflict)
    assert recorded(outcomes[1])
