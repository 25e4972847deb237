"""Witnesses as use cases: have the newest checkpoint of a log cosigned, and hand out one that was.

One round asks all witnesses of a policy about one checkpoint. What they answer decides: a cosignature that
holds is kept; another size is gone on from; a contradiction stops the signing of that log until an operator
has looked. Nothing of this stands in the way of an append or of a signature.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from adapters.postgres_checkpoints import Signed
from adapters.postgres_witnesses import Due, PostgresWitnesses, Unwitnessed
from adapters.signature_check import verify_signature
from adapters.witness_alarms import Alarm, Kind
from adapters.witness_client import Answer, Cosigned, KnowsAnother, NotConsistent, Unanswered
from app.checkpoints import Checkpoints
from domain.checkpoint import parse_checkpoint
from domain.cosignature import Cosignature, cosignatures_of, format_cosigner_key
from domain.errors import DeedbookError, NotFound
from domain.signed_note import SignedNote, parse_note
from domain.tlog_proof import ConsistencyProof, format_consistency
from domain.witness_policy import Policy, PolicyWitness, check_quorum

ROUND_SECONDS = 10.0
"""From the beginning of one round about a log to that of the next."""
CLAIM_SECONDS = 180.0
"""A round that its process did not live to end is free after this."""
RETRY_SECONDS = (10.0, 600.0)
"""The first wait after a failure, and the longest; each is twice the one before."""
MAX_QUESTIONS = 3
"""In one round to one witness: one, and when it knows another size, one from there."""
MAX_THREADS = 8
MAX_CHECKED = 5
"""Stored checkpoints with cosignatures enough: the first is good, unless the rows were tampered with."""

_logger = logging.getLogger("deedbook.witnesses")


class Client(Protocol):
    """Asks one witness."""

    def add_checkpoint(self, prefix: str, body: str) -> Answer:
        """Ask the witness at a submission prefix to cosign; a failure is an answer too."""


class Witnesses:
    """The witnesses of a ledger's checkpoints.

    Args:
        store: Where cosignatures are kept.
        policy: Who they are; None: nobody.
    """

    def __init__(self, store: PostgresWitnesses, policy: Policy | None) -> None:
        self._store = store
        self._policy = policy

    def witnessed(self, project: str) -> Signed:
        """The newest checkpoint that meets the policy, with the cosignatures that count.

        A policy that asks for nobody gives none: any checkpoint meets it.

        Raises:
            NotFound: `project-not-found`, `checkpoint-unwitnessed`.
        """
        if not self._store.is_known(project):
            raise NotFound("project-not-found", f"There is no project {project!r}.")
        if self._policy is not None:
            for size, note in islice(self._candidates(project, self._policy), MAX_CHECKED):
                try:
                    met = check_quorum(note, self._policy, verify_signature).anchors
                except DeedbookError as error:
                    _logger.error("the checkpoint of %s at %d: %s", project, size, error.detail)  # noqa: TRY400 - its sentence says it all
                    continue
                if met:
                    root = parse_checkpoint(parse_note(note).text).root
                    return Signed(size, root, note)
        raise NotFound(
            "checkpoint-unwitnessed",
            f"No checkpoint of {project} has the cosignatures that this ledger's witness policy asks "
            "for, or it has no policy; leave `witnessed` away for the newest one.",
        )

    def _candidates(self, project: str, policy: Policy) -> Iterator[tuple[int, str]]:
        keys = {format_cosigner_key(one.key): one.key for one in policy.witnesses}
        for size, cosigned, note in self._store.candidates(project, list(keys), policy.fewest):
            if policy.met_by(frozenset(keys[one] for one in cosigned)):
                yield size, note


class WitnessRounds:
    """Asks the witnesses of a policy that have an address.

    Args:
        store: Where cosignatures are kept.
        checkpoints: Gives the consistency proofs.
        policy: Who the witnesses are.
        client: Asks them.
        now: The clock.
    """

    def __init__(
        self,
        store: PostgresWitnesses,
        checkpoints: Checkpoints,
        policy: Policy,
        client: Client,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._policy = policy
        self._client = client
        self._now = now
        self._asked = {
            format_cosigner_key(one.key): one for one in policy.witnesses if one.url is not None
        }

    def due(self) -> list[Due]:
        """The logs that have something to be cosigned, and when."""
        return self._store.due(list(self._asked), [log.key.name for log in self._policy.logs])

    def hold(self, project: str, away: Sequence[str] = ()) -> list[str]:
        """Hold one round, unless another process does; answers the witnesses that did not work.

        Args:
            project: Which log.
            away: Witnesses that did not work a moment ago: they are not asked now.
        """
        began = self._now()
        vkeys = [vkey for vkey in self._asked if vkey not in away]
        until = began + timedelta(seconds=CLAIM_SECONDS)
        found = self._store.begin(project, vkeys, began, until)
        if found is None:
            return []
        try:
            if not found.sizes:
                return []
            with ThreadPoolExecutor(min(len(found.sizes), MAX_THREADS)) as threads:
                asked = threads.map(lambda vkey: self._ask(project, found, vkey), found.sizes)
                return [vkey for vkey in asked if vkey is not None]
        finally:
            self._store.end(project, began + timedelta(seconds=ROUND_SECONDS))

    def _ask(self, project: str, found: Unwitnessed, vkey: str) -> str | None:
        """Ask one witness; answers it when it does not work at all."""
        witness = self._asked[vkey]
        assert witness.url is not None
        old = min(found.sizes[vkey], found.size)
        for _ in range(MAX_QUESTIONS):
            try:
                body = self._body(project, found, old)
            except DeedbookError as error:
                problem = error.detail
                break
            answer = self._client.add_checkpoint(witness.url, body)
            match answer:
                case Cosigned():
                    self._cosigned(project, found, witness, answer)
                    return None
                case NotConsistent():
                    self._raise(project, found, vkey, "not-consistent", old)
                    return None
                case KnowsAnother(size) if size > found.size:
                    self._ahead(project, found, vkey, size)
                    return None
                case KnowsAnother(size) if size != old:
                    old = size
                case KnowsAnother():
                    problem = (
                        "it says that it has another size than it was sent, and names that one"
                    )
                    break
                case Unanswered(problem, away):
                    self._failed(project, vkey, old, problem)
                    return vkey if away else None
        else:
            problem = "it names another size each time that it is asked"
        self._failed(project, vkey, old, problem)
        return None

    def _body(self, project: str, found: Unwitnessed, old: int) -> str:
        """What is sent; the proof was checked before it comes from here."""
        proof = self._checkpoints.consistency(project, old, found.size)
        return format_consistency(ConsistencyProof(old, proof.hashes, found.note))

    def _cosigned(
        self, project: str, found: Unwitnessed, witness: PolicyWitness, answer: Cosigned
    ) -> None:
        vkey = format_cosigner_key(witness.key)
        note = SignedNote(parse_note(found.note).text, answer.signatures)
        good: tuple[Cosignature, ...] = ()
        try:
            good = cosignatures_of(note, [witness.key], verify_signature)
            problem = "it answers 200 without a cosignature of its own key"
        except DeedbookError:
            problem = "its cosignature does not hold"
        if good:
            self._store.keep(project, found.size, good[0], self._now())
        else:
            self._failed(project, vkey, found.sizes[vkey], problem)

    def _ahead(self, project: str, found: Unwitnessed, vkey: str, size: int) -> None:
        """It knows more than was sent: more than is known here, or another process was faster.

        Whoever sends a checkpoint has committed it before: so what is not there now, was taken away.
        """
        if size > self._store.signed_size(project):
            self._raise(project, found, vkey, "rolled-back", size)
        else:
            now = self._now()
            self._store.note_problem(
                project, vkey, size, "it has a newer one from another process already", now, now
            )

    def _failed(self, project: str, vkey: str, size: int, problem: str) -> None:
        now = self._now()
        first, longest = RETRY_SECONDS
        times = min(self._store.failures(project, vkey), 20)
        wait = min(first * 2**times, longest)
        self._store.note_problem(project, vkey, size, problem, now, now + timedelta(seconds=wait))
        name = self._asked[vkey].name
        _logger.warning(
            "the witness %s did not cosign %s: %s", name, project or "the seal log", problem
        )

    def _raise(self, project: str, found: Unwitnessed, vkey: str, kind: Kind, old: int) -> None:
        alarm = self._store.raise_alarm(
            Alarm(
                project=project,
                ordinal=0,
                raised_at=self._now(),
                witness=vkey,
                kind=kind,
                old_size=old,
                size=found.size,
                note=found.note,
            )
        )
        if alarm is not None:
            _logger.error(
                "ALARM: %s. Nothing more of %s is signed: keep the database as it is, see deedbook "
                "witness status and docs/witnesses.md",
                alarm.sentence,
                project or "the seal log",
            )
