"""Policies: what they say of a checkpoint, and every line that is none."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.signature_check import verify_signature
from domain.cosignature import CosignerKey, format_cosigner_key
from domain.errors import DeedbookError
from domain.signed_note import NoteKey, format_key
from domain.witness_policy import (
    MAX_GROUPS,
    MAX_LOGS,
    MAX_POLICY_BYTES,
    MAX_WITNESSES,
    Quorum,
    check_quorum,
    parse_policy,
)
from tests.cosigned_samples import ABSENT, COSIGNED, LOG_KEY, TIME, WITNESS_KEYS
from tests.note_samples import ALPHA_KEY, NOTE

LINES = "".join(f"witness {name} {vkey}\n" for name, vkey in WITNESS_KEYS.items())
X, Y = WITNESS_KEYS["garden"], WITNESS_KEYS["remora"]


def key_of(number: int) -> str:
    return format_cosigner_key(CosignerKey(f"w{number}", number.to_bytes(32, "big")))


def quorum_of(policy: str, note: str = COSIGNED) -> Quorum:
    return check_quorum(note, parse_policy(policy.encode()), verify_signature)


def refused(policy: str | bytes) -> str:
    raw = policy if isinstance(policy, bytes) else policy.encode()
    with pytest.raises(DeedbookError) as caught:
        parse_policy(raw)
    assert caught.value.code == "witness-policy-malformed"
    return caught.value.detail


@pytest.mark.parametrize(
    ("rule", "ok"),
    [
        ("quorum garden\n", True),
        ("quorum absent\n", False),
        ("quorum none\n", True),
        ("group g all garden smartit remora stagemole\nquorum g\n", True),
        ("group g all garden absent\nquorum g\n", False),
        ("group g any garden absent\nquorum g\n", True),
        ("group g 1 absent\nquorum g\n", False),
        ("group g 4 garden smartit remora stagemole absent\nquorum g\n", True),
        ("group g 5 garden smartit remora stagemole absent\nquorum g\n", False),
        ("group a 2 garden smartit\ngroup b any remora absent\ngroup c all a b\nquorum c\n", True),
        ("group a 2 garden absent\ngroup b any remora smartit\ngroup c all a b\nquorum c\n", False),
        ("group a 2 garden absent\ngroup b any remora smartit\ngroup c any a b\nquorum c\n", True),
        ("group a all garden absent\nquorum remora\n", True),
    ],
)
def test_a_public_checkpoint_meets_a_quorum_or_not(rule: str, ok: bool) -> None:
    quorum = quorum_of(f"log {LOG_KEY}\n{LINES}witness absent {ABSENT}\n{rule}")
    assert quorum == Quorum(ok, ("garden", "smartit", "remora", "stagemole"), (TIME, TIME))
    assert quorum.anchors == ok


def test_a_quorum_of_nobody_is_met_and_anchors_nothing() -> None:
    assert quorum_of("quorum none\n") == Quorum(True, (), None)
    assert not quorum_of("quorum none\n").anchors
    assert parse_policy(b"quorum none\n").fewest == 0


def test_the_log_of_the_policy_must_have_signed() -> None:
    for policy, code in (
        (f"log {ALPHA_KEY}\nquorum none\n", "signature-missing"),
        (f"log {LOG_KEY}\nlog {ALPHA_KEY}\n{LINES}quorum remora\n", None),
        (f"{LINES}quorum remora\n", None),
    ):
        if code is None:
            assert quorum_of(policy).ok
            continue
        with pytest.raises(DeedbookError) as caught:
            quorum_of(policy)
        assert caught.value.code == code
    assert parse_policy(f"log {ALPHA_KEY}\nquorum none\n".encode()).covers("alpha.ledger.example")
    assert not parse_policy(f"log {ALPHA_KEY}\nquorum none\n".encode()).covers(
        "beta.ledger.example"
    )
    assert parse_policy(b"quorum none\n").covers("beta.ledger.example")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1432088532", "1432088533"),
        ("U7WM", "V7WM"),
        ("PlfF3V", "QlfF3V"),
        ("2net5wAAAABqEiEg", "2net5wAAAABqEiEh"),
    ],
    ids=("size", "root", "signature", "time"),
)
def test_a_note_with_a_cosignature_that_does_not_hold_is_refused(old: str, new: str) -> None:
    assert COSIGNED.count(old) == 1
    with pytest.raises(DeedbookError) as caught:
        quorum_of(f"{LINES}quorum garden\n", COSIGNED.replace(old, new))
    assert caught.value.code == "signature-wrong"


def test_what_is_no_checkpoint_meets_nothing() -> None:
    for note, code in (
        ("nothing", "note-malformed"),
        (COSIGNED.replace("\n1432088532\n", "\n01432088532\n"), "checkpoint-malformed"),
    ):
        with pytest.raises(DeedbookError) as caught:
            quorum_of("quorum none\n", note)
        assert caught.value.code == code
    assert quorum_of(f"{LINES}quorum garden\n", NOTE) == Quorum(False, (), None)


def test_spaces_comments_addresses_and_any_bytes_in_names_are_taken() -> None:
    raw = (
        b"# \xff\n\n \t # more\n\tlog \t"
        + ALPHA_KEY.encode()
        + b"  https://log.example/\xe6 \nwitness \xff "
        + X.encode()
        + b" https://w.example/x\nwitness K "
        + Y.encode()
        + b"\nwitness \xe2\x84\xaa "
        + ABSENT.encode()
        + b"\ngroup 2 1 \xff K\nquorum 2\n"
    )
    policy = parse_policy(raw)
    assert [one.name for one in policy.witnesses] == ["\\xff", "K", "\u212a"]
    assert [one.url for one in policy.witnesses] == ["https://w.example/x", None, None]
    assert policy.logs[0].url == "https://log.example/\\xe6"
    assert policy.fewest == 1


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("", "last line"),
        ("quorum none", "last line"),
        ("quorum none\r\n", "control"),
        ("quorum none\n\0\n", "control"),
        ("# no rule\n", "no quorum"),
        (f"witness none {X}\nquorum none\n", "line 1: the name none is taken"),
        (f"witness a {X}\ngroup a any a\nquorum a\n", "line 2: the name a is taken"),
        (f"witness a {X}\nwitness a {Y}\nquorum a\n", "line 2: the name a is taken"),
        (f"witness a {X}\nwitness b {X}\nquorum a\n", "in the policy already"),
        (f"log {ALPHA_KEY}\nlog {ALPHA_KEY}\nquorum none\n", "in the policy already"),
        (f"witness a {X}\nquorum b\n", "no line above defines b"),
        (f"quorum a\nwitness a {X}\n", "no line above defines a"),
        (f"group g any a\nwitness a {X}\nquorum g\n", "no line above defines a"),
        ("group g any g\nquorum g\n", "no line above defines g"),
        (f"witness a {X}\ngroup g any none a\nquorum g\n", "no line above defines none"),
        (f"witness a {X}\ngroup g any a a\nquorum g\n", "a is a member of a group already"),
        (f"witness a {X}\ngroup g any a\ngroup h any a\nquorum g\n", "member of a group already"),
        (f"witness a {X}\ngroup g 0 a\nquorum g\n", "threshold"),
        (f"witness a {X}\ngroup g 2 a\nquorum g\n", "threshold"),
        (f"witness a {X}\ngroup g 01 a\nquorum g\n", "threshold"),
        (f"witness a {X}\ngroup g +1 a\nquorum g\n", "threshold"),
        (f"witness a {X}\ngroup g most a\nquorum g\n", "threshold"),
        (f"witness a {X}\ngroup g any\nquorum g\n", "none of"),
        ("quorum none\nquorum none\n", "a quorum already"),
        ("quorum none none\n", "none of"),
        ("quorum\n", "none of"),
        ("Quorum none\n", "none of"),
        (f"witness a {X} https://a b\nquorum a\n", "none of"),
        (f"witness a {ALPHA_KEY}\nquorum a\n", "no verifier key of a witness"),
        (f"log {X}\nquorum none\n", "no verifier key of a log"),
        ("witness a nonsense\nquorum a\n", "no verifier key of a witness"),
        (b"witness a \xff\nquorum a\n", "no verifier key of a witness"),
        ("quorum none # really\n", "none of"),
    ],
)
def test_each_way_to_be_wrong_is_refused_and_says_where(policy: str | bytes, why: str) -> None:
    assert why in refused(policy)


def logs(count: int) -> str:
    keys = (format_key(NoteKey("l.example", n.to_bytes(32, "big"))) for n in range(count))
    return "".join(f"log {key}\n" for key in keys)


def witnesses(numbers: Iterable[int]) -> str:
    return "".join(f"witness w{number} {key_of(number)}\n" for number in numbers)


def groups(count: int) -> str:
    chain = (f"group g{n} any g{n - 1}\n" for n in range(1, count))
    return f"group g0 any w0\n{''.join(chain)}quorum g{count - 1}\n"


def test_a_policy_has_limits_beyond_what_others_support() -> None:
    one = witnesses(range(1))
    for good, bad in (
        (logs(MAX_LOGS) + "quorum none\n", logs(MAX_LOGS + 1) + "quorum none\n"),
        (
            witnesses(range(MAX_WITNESSES)) + "quorum w0\n",
            witnesses(range(MAX_WITNESSES + 1)) + "quorum w0\n",
        ),
        (one + groups(MAX_GROUPS), one + groups(MAX_GROUPS + 1)),
    ):
        assert not parse_policy(good.encode()).met_by(frozenset()) or "none" in good
        assert "more than 64" in refused(bad)
    assert "bytes" in refused(b"#" * MAX_POLICY_BYTES + b"\n")
    assert min(MAX_LOGS, MAX_WITNESSES, MAX_GROUPS) >= 32


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(1, n), st.integers(1, n), st.integers(1, 2))
    )
)
def test_fewest_is_what_some_choice_of_witnesses_needs(shape: tuple[int, int, int, int]) -> None:
    count, inner, outer, top = shape
    text = (
        witnesses(range(2 * count))
        + f"group a {inner} {' '.join(f'w{n}' for n in range(count))}\n"
        + f"group b {outer} {' '.join(f'w{n}' for n in range(count, 2 * count))}\n"
        + f"group c {top} a b\nquorum c\n"
    )
    policy = parse_policy(text.encode())
    keys = [one.key for one in policy.witnesses]
    needed = next(
        size
        for size in range(len(keys) + 1)
        if any(policy.met_by(frozenset(some)) for some in itertools.combinations(keys, size))
    )
    assert policy.fewest == needed


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(raw: bytes) -> None:
    try:
        parse_policy(raw)
    except DeedbookError as error:
        assert error.code == "witness-policy-malformed"
