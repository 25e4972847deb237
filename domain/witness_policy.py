"""Policies (C2SP tlog-policy): which witnesses have to have cosigned a checkpoint.

A file of lines: `log`, `witness`, `group` and one `quorum`. Names mean something in the file only, and are
compared as bytes.
"""

import re
from collections.abc import Sequence

import msgspec

from domain.checkpoint import open_checkpoint, parse_checkpoint
from domain.cosignature import CosignerKey, cosignatures_of, parse_cosigner_key
from domain.errors import DeedbookError, Malformed
from domain.signed_note import NoteKey, Verifier, parse_key, parse_note

MAX_POLICY_BYTES = 65_536
MAX_LOGS = 64
MAX_WITNESSES = 64
MAX_GROUPS = 64
NONE = b"none"

_SPACE = re.compile(rb"[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_THRESHOLD = re.compile(rb"[1-9][0-9]{0,3}")


class PolicyLog(msgspec.Struct, frozen=True):
    """A log whose checkpoints are taken, and where it is."""

    key: NoteKey
    url: str | None


class PolicyWitness(msgspec.Struct, frozen=True):
    """A witness, and where checkpoints are sent for it to sign."""

    name: str
    key: CosignerKey
    url: str | None


class PolicyGroup(msgspec.Struct, frozen=True):
    """So many of these must have cosigned."""

    name: str
    threshold: int
    members: tuple["PolicyWitness | PolicyGroup", ...]


class Policy(msgspec.Struct, frozen=True):
    """What is asked of a checkpoint.

    Attributes:
        logs: One of them must have signed; none: which log it is, is known from elsewhere.
        witnesses: All that are named, also those that the quorum does not use.
        quorum: Who must have cosigned; None: nobody.
    """

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    quorum: PolicyWitness | PolicyGroup | None

    @property
    def fewest(self) -> int:
        """With fewer cosignatures than this, no checkpoint meets the quorum."""
        return _fewest(self.quorum)

    def covers(self, origin: str) -> bool:
        """Whether checkpoints of a log may meet this policy at all."""
        return not self.logs or any(log.key.name == origin for log in self.logs)

    def met_by(self, keys: frozenset[CosignerKey]) -> bool:
        """Whether these witnesses are enough."""
        return self.quorum is None or _met(self.quorum, keys)


class Quorum(msgspec.Struct, frozen=True):
    """How far a checkpoint meets a policy.

    Attributes:
        ok: Whether it does.
        names: The policy's names of the witnesses that cosigned it, in the policy's order.
        time_range: Of their cosignatures, the earliest and the latest time (seconds since 1970, UTC):
            the checkpoint existed at the first, and no witness had seen a larger one of this log when
            it signed.
    """

    ok: bool
    names: tuple[str, ...]
    time_range: tuple[int, int] | None

    @property
    def anchors(self) -> bool:
        """Whether a witness stands behind it: the quorum `none` is met, and anchors nothing."""
        return self.ok and bool(self.names)


def check_quorum(note: str, policy: Policy, verify: Verifier) -> Quorum:
    """Whether a signed checkpoint has the cosignatures that a policy asks for.

    The log's own signature is checked if the policy names logs; otherwise that is for the caller.

    Raises:
        Damaged: `note-malformed`, `checkpoint-malformed`; `signature-missing`: none of the policy's logs
            signed it; `signature-wrong`: a signature of a log or witness of the policy does not hold.
    """
    signed = parse_note(note)
    if policy.logs:
        open_checkpoint(note, [log.key for log in policy.logs], verify)
    else:
        parse_checkpoint(signed.text)
    keys = [witness.key for witness in policy.witnesses]
    found = cosignatures_of(signed, keys, verify)
    cosigned = frozenset(one.key for one in found)
    times = [one.time for one in found]
    return Quorum(
        ok=policy.met_by(cosigned),
        names=tuple(one.name for one in policy.witnesses if one.key in cosigned),
        time_range=(min(times), max(times)) if times else None,
    )


def parse_policy(raw: bytes) -> Policy:
    """A policy file, strictly.

    Raises:
        Malformed: `witness-policy-malformed`, with the number of the line.
    """
    if len(raw) > MAX_POLICY_BYTES:
        raise _bad(f"it has more than {MAX_POLICY_BYTES} bytes")
    if _CONTROL.search(raw):
        raise _bad("it holds a control character; lines end with a newline and nothing else")
    if not raw.endswith(b"\n"):
        raise _bad("its last line does not end with a newline")
    reading = _Reading()
    for number, line in enumerate(raw.split(b"\n"), 1):
        words = _SPACE.split(line.strip(b" \t"))
        if words[0] and not words[0].startswith(b"#"):
            reading.take(words, number)
    return reading.policy()


class _Reading:
    """What the lines have said so far."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: list[PolicyWitness] = []
        self._groups = 0
        self._names: dict[bytes, PolicyWitness | PolicyGroup] = {}
        self._members: set[bytes] = set()
        self._quorum: list[PolicyWitness | PolicyGroup | None] = []

    def policy(self) -> Policy:
        """All of it."""
        if not self._quorum:
            raise _bad("it has no quorum line")
        return Policy(tuple(self._logs), tuple(self._witnesses), self._quorum[0])

    def take(self, words: Sequence[bytes], number: int) -> None:
        """One line that says something."""
        match words:
            case [b"log", key, *url] if len(url) <= 1:
                self._log(key, url, number)
            case [b"witness", name, key, *url] if len(url) <= 1:
                self._witness(name, key, url, number)
            case [b"group", name, threshold, *members] if members:
                self._group(name, threshold, members, number)
            case [b"quorum", name]:
                if self._quorum:
                    raise _bad("there is a quorum already", number)
                self._quorum.append(None if name == NONE else self._named(name, number))
            case _:
                raise _bad(
                    "it is none of: log VKEY [URL]; witness NAME VKEY [URL]; "
                    "group NAME all|any|K NAME…; quorum NAME",
                    number,
                )

    def _log(self, vkey: bytes, url: Sequence[bytes], number: int) -> None:
        try:
            key = parse_key(vkey.decode())
        except (DeedbookError, UnicodeDecodeError):
            raise _bad("this is no verifier key of a log (Ed25519, type 0x01)", number) from None
        if any(log.key.public_key == key.public_key for log in self._logs):
            raise _bad("this log's public key is in the policy already", number)
        if len(self._logs) == MAX_LOGS:
            raise _bad(f"there are more than {MAX_LOGS} logs", number)
        self._logs.append(PolicyLog(key, _url(url)))

    def _witness(self, name: bytes, vkey: bytes, url: Sequence[bytes], number: int) -> None:
        try:
            key = parse_cosigner_key(vkey.decode())
        except (DeedbookError, UnicodeDecodeError):
            raise _bad(
                "this is no verifier key of a witness (Ed25519 cosignatures, type 0x04)", number
            ) from None
        if any(one.key.public_key == key.public_key for one in self._witnesses):
            raise _bad("this witness's public key is in the policy already", number)
        if len(self._witnesses) == MAX_WITNESSES:
            raise _bad(f"there are more than {MAX_WITNESSES} witnesses", number)
        witness = PolicyWitness(_shown(name), key, _url(url))
        self._define(name, witness, number)
        self._witnesses.append(witness)

    def _group(self, name: bytes, threshold: bytes, members: Sequence[bytes], number: int) -> None:
        if self._groups == MAX_GROUPS:
            raise _bad(f"there are more than {MAX_GROUPS} groups", number)
        named = tuple(self._named(member, number) for member in members)
        for member in members:
            if member in self._members:
                raise _bad(f"{_shown(member)} is a member of a group already", number)
            self._members.add(member)
        match threshold:
            case b"any":
                least = 1
            case b"all":
                least = len(named)
            case _ if _THRESHOLD.fullmatch(threshold) and int(threshold) <= len(named):
                least = int(threshold)
            case _:
                raise _bad(f"the threshold is any, all or 1 to {len(named)}", number)
        self._groups += 1
        self._define(name, PolicyGroup(_shown(name), least, named), number)

    def _define(self, name: bytes, what: PolicyWitness | PolicyGroup, number: int) -> None:
        if name == NONE or name in self._names:
            raise _bad(f"the name {_shown(name)} is taken", number)
        self._names[name] = what

    def _named(self, name: bytes, number: int) -> PolicyWitness | PolicyGroup:
        if name not in self._names:
            raise _bad(f"no line above defines {_shown(name)}", number)
        return self._names[name]


def _met(rule: PolicyWitness | PolicyGroup, keys: frozenset[CosignerKey]) -> bool:
    if isinstance(rule, PolicyWitness):
        return rule.key in keys
    return sum(_met(member, keys) for member in rule.members) >= rule.threshold


def _fewest(rule: PolicyWitness | PolicyGroup | None) -> int:
    match rule:
        case None:
            return 0
        case PolicyWitness():
            return 1
        case PolicyGroup():
            return sum(sorted(_fewest(one) for one in rule.members)[: rule.threshold])


def _url(given: Sequence[bytes]) -> str | None:
    return _shown(given[0]) if given else None


def _shown(name: bytes) -> str:
    """A name or an address for people: bytes that are no UTF-8 as their escapes."""
    return name.decode("utf-8", "backslashreplace")


def _bad(why: str, line: int | None = None) -> Malformed:
    place = "" if line is None else f" in line {line}"
    return Malformed("witness-policy-malformed", f"This is not a witness policy{place}: {why}.")
