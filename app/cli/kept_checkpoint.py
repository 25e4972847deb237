"""A checkpoint in a file that only ever moves on: a committed one makes the repository a witness."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.checkpoint import Checkpoint

MAX_EVIDENCE = 99


def check_moves_on(old: "Checkpoint", new: "Checkpoint", proof: str | None) -> None:
    """Refuse two checkpoints that are not of one log, grown from the older to the newer.

    Args:
        old: The smaller one.
        new: The larger one.
        proof: The consistency proof from one to the other; None: the log has none.

    Raises:
        Damaged: `log-forked`; `proof-malformed`.
    """
    from app.offline.verify_proof import check_grown
    from domain.errors import Damaged
    from domain.tlog_proof import parse_consistency

    if old.origin != new.origin:
        raise Damaged(
            "log-forked", f"The checkpoint given is of {old.origin}, this one of {new.origin}."
        )
    if proof is None:
        raise Damaged(
            "log-forked",
            f"The log has {new.size} events, and was signed at {old.size}: keep both checkpoints.",
        )
    check_grown(parse_consistency(proof), old, new)


def write_evidence(file: Path, kept: str, offered: str, proof: str | None) -> Path:
    """Write both notes beside the file, and what was to prove that they fit; answers where.

    Raises:
        Conflict: `evidence-exists`: there is so much already that somebody should look at it.
    """
    import msgspec

    from domain.errors import Conflict

    members = {"kept": kept, "offered": offered, "consistency": proof}
    raw = msgspec.json.format(msgspec.json.encode(members), indent=2) + b"\n"
    for number in range(1, MAX_EVIDENCE + 1):
        evidence = file.with_name(f"{file.name}.evidence-{number}.json")
        try:
            with evidence.open("xb") as opened:
                opened.write(raw)
        except FileExistsError:
            if evidence.read_bytes() != raw:
                continue
        return evidence
    raise Conflict(
        "evidence-exists", f"Evidence {MAX_EVIDENCE} times over lies beside {file}: look at it."
    )
