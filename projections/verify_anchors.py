"""Steps 9 and 11 of a verification: roots that the reader knows from elsewhere, and an older export."""

from domain.checkpoint import open_checkpoint, parse_checkpoint
from domain.digest import format_digest
from domain.errors import DeedbookError
from domain.merkle import verify_consistency
from domain.signed_note import parse_note
from projections.bundle import BundleFold
from projections.manifest import Tree
from projections.verify_evidence import Earlier, Evidence, Pin
from projections.verify_report import Findings


class Anchors:
    """Notes the roots that are asked for while the leaves pass by, and compares them at the end.

    Attributes:
        forked: The size at which an older export's log is another one.
    """

    def __init__(self, evidence: Evidence, findings: Findings) -> None:
        self._evidence = evidence
        self._findings = findings
        sizes = (evidence.pin, evidence.earlier)
        self._roots: dict[int, bytes | None] = {one.size: None for one in sizes if one is not None}
        self._anchored: set[str] = set()
        self.forked: int | None = None

    @property
    def anchored(self) -> bool:
        """Whether something outside the ledger vouches for the log."""
        return bool(self._anchored)

    def note(self, fold: BundleFold) -> None:
        """Look at the tree as it is after one more leaf."""
        if fold.size in self._roots:
            self._roots[fold.size] = fold.root()

    def asked(self, tree: Tree | None) -> set[str]:
        """The steps behind the contents that are to be told of."""
        given = self._evidence
        asked = {
            name
            for name, one in (
                ("anchor", given.pin),
                ("witnesses", given.witnesses),
                ("head", given.head),
                ("since", given.earlier),
            )
            if one is not None
        }
        unsealed = given.sidecar is None and given.trust is None
        whole = tree is not None and given.pin is not None and given.pin.size == tree.size
        if not (unsealed and whole):  # a root of the whole log vouches for all of it by itself
            asked.add("seal")
        return asked

    def check(self, tree: Tree | None, root: bytes | None) -> None:
        """Compare everything that was given."""
        pin, earlier = self._evidence.pin, self._evidence.earlier
        if pin is not None:
            self._check_pin(pin, tree, root)
        if self._evidence.witnesses is not None:
            self._check_witnesses(pin)
        if earlier is not None:
            self._check_earlier(earlier, tree)

    def _check_pin(self, pin: Pin, tree: Tree | None, root: bytes | None) -> None:
        findings = self._findings
        if not self._is_signed(pin):
            return
        if tree is None or root is None:
            findings.could_not_run("anchor", "could not run: the log's size is not known")
        elif pin.origin is not None and pin.origin != tree.origin:
            findings.fail("anchor", f"the pin is for {pin.origin}, the export for {tree.origin}")
        elif pin.size == 0:
            findings.could_not_run("anchor", "a pin of size 0 vouches for nothing")
        elif pin.size > tree.size:
            self._check_grown(pin, tree, root)
        else:
            self._check_root(pin, self._roots[pin.size])

    def _check_root(self, pin: Pin, found: bytes | None) -> None:
        if found is None:
            self._findings.could_not_run("anchor", f"could not run: there are no {pin.size} leaves")
        elif found != pin.root:
            self._findings.fail(
                "anchor",
                f"the root over the first {pin.size} leaves is {format_digest(found)}, the pin says "
                f"{format_digest(pin.root)}",
            )
        else:
            self._anchored.add("pin")
            self._findings.ran(
                "anchor", f"the root over the first {pin.size} leaves is the pinned one"
            )

    def _check_grown(self, pin: Pin, tree: Tree, root: bytes) -> None:
        """A pin of a larger log: the export's must be its beginning."""
        proof, findings = self._evidence.consistency, self._findings
        if proof is None:
            findings.could_not_run(
                "anchor",
                f"could not run: the pin is for size {pin.size}, the export ends at {tree.size}; "
                "--consistency leads from one to the other",
            )
            return
        try:
            led = parse_checkpoint(parse_note(proof.checkpoint).text)
        except DeedbookError as error:
            findings.fail("anchor", f"the consistency proof: {error.detail}")
            return
        if proof.old != tree.size or (led.size, led.root) != (pin.size, pin.root):
            findings.fail(
                "anchor",
                f"the consistency proof leads from {proof.old} to {led.size}, and not from the "
                f"export's {tree.size} to the pin",
            )
        elif not verify_consistency(tree.size, pin.size, proof.hashes, root, pin.root):
            findings.fail(
                "anchor",
                f"the log of {pin.size} events that is pinned does not begin with this export",
            )
        else:
            self._anchored.add("pin")
            findings.ran("anchor", f"the pinned log of {pin.size} events begins with this export")

    def _is_signed(self, pin: Pin) -> bool:
        """Whether a pin that came as a signed checkpoint was signed by the ledger, if that can be told."""
        trust, signatures = self._evidence.trust, self._evidence.signatures
        if pin.note is None or pin.origin is None or trust is None or signatures is None:
            return True
        try:
            keys = trust.note_keys(pin.origin, pin.size)
            open_checkpoint(pin.note, keys, signatures.ed25519)
        except DeedbookError as error:
            self._findings.fail("anchor", f"the pin: {error.detail}")
            return False
        return True

    def _check_witnesses(self, pin: Pin | None) -> None:
        check = self._evidence.witnesses
        assert check is not None
        if self._evidence.signatures is None:
            self._findings.could_not_run("witnesses", "signatures cannot be checked here")
            return
        if pin is None or pin.note is None:
            self._findings.could_not_run(
                "witnesses", "no cosigned checkpoint was given as --pin to count them on"
            )
            return
        try:
            quorum = check(pin.note)
        except DeedbookError as error:
            self._findings.fail("witnesses", error.detail)
            return
        if not quorum.ok:
            self._findings.fail("witnesses", quorum.detail)
        elif "pin" not in self._anchored:
            self._findings.could_not_run("witnesses", "what they cosigned is not this export's log")
        else:
            self._anchored.add("witnesses")
            self._findings.ran("witnesses", quorum.detail)

    def _check_earlier(self, earlier: Earlier, tree: Tree | None) -> None:
        """Step 11: the older export's log is the beginning of this one's."""
        findings, found = self._findings, self._roots[earlier.size]
        if not earlier.sound:
            findings.fail("since", f"the older export does not verify: {earlier.detail}")
        elif tree is None:
            findings.could_not_run("since", "could not run: the log's size is not known")
        elif earlier.origin != tree.origin:
            findings.fail("since", f"it is of {earlier.origin}, and this one of {tree.origin}")
        elif earlier.size > tree.size:
            findings.fail(
                "since", f"it ends at {earlier.size}, and this one before that, at {tree.size}"
            )
        elif found is None:
            findings.could_not_run("since", f"could not run: there are no {earlier.size} leaves")
        elif found != earlier.root:
            self.forked = earlier.size
            findings.fail(
                "since",
                f"the first {earlier.size} events are not those that were exported before: their "
                f"root is {format_digest(found)}, and was {format_digest(earlier.root)}",
            )
        else:
            findings.ran("since", f"its {earlier.size} events are the first of this one's")
