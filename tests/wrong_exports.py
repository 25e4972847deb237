"""Every way in which an export, its seal or what is brought to them can be wrong, one small case each.

The cases lie as files in `tests/golden/exports`, a folder each: only what differs from `good`, and
`case.json` with the arguments, the state and the steps that fail. They were written once by
`python -m tests.wrong_exports`, and are frozen: what a later version makes of them must stay the same.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from domain import canonical
from domain.base64_text import decode64, encode64
from domain.seal import encode_statement
from domain.sigstore_bundle import parse_bundle
from domain.trust import LogKey, SealKey, Trust, encode_trust
from tests.export_samples import MemoryLog, files_of, mended, zip_of
from tests.sealed_samples import (
    HEAD,
    MemoryLedger,
    described,
    export_of,
    seal_signer,
    small_log,
)

FOLDER = Path(__file__).parent / "golden" / "exports"
ZIP, SIDECAR, TRUST = "alpha-4.zip", "alpha-4.zip.sigstore.json", "trust.json"
TRUSTING = ("--trust", TRUST)
TOP = "alpha-4"


class Case(msgspec.Struct, frozen=True):
    """A case: its arguments behind the ZIP, what must come out, and what differs from the good one."""

    arguments: tuple[str, ...]
    state: str
    failed: tuple[str, ...]
    files: Mapping[str, bytes | None] = {}
    zip: str = ZIP


def cases() -> dict[str, Case]:
    """All of them, made anew."""
    found = {"good": Case(TRUSTING, "VERIFIED-UNANCHORED", (), _good())}
    for part in (_contents(), _containers(), _seals(), _anchors(), _histories()):
        for name, case in part:
            assert name not in found
            found[name] = case
    return found


def _ledger() -> MemoryLedger:
    """One that has sealed two other things before."""
    ledger = MemoryLedger()
    for size in (2, 3):
        log = small_log(size)
        ledger.seal(log, export_of(log))
    return ledger


def _good() -> dict[str, bytes | None]:
    ledger, log = _ledger(), small_log()
    content = export_of(log)
    return {
        ZIP: content,
        SIDECAR: ledger.seal(log, content, head=HEAD),
        TRUST: encode_trust(ledger.trust()),
    }


def _contents() -> Iterator[tuple[str, Case]]:
    """The events or files were changed, and every list and the seal made to agree by a forger with the keys."""
    log = small_log()
    files = files_of(log.lines, log.blobs)
    note = f"{TOP}/data/artifacts/NOTE/main.v2.md"

    def forged(failed: tuple[str, ...], changed: Mapping[str, bytes]) -> Case:
        content = zip_of(mended(changed))
        sidecar = _ledger().seal(log, content, head=HEAD)
        return Case(TRUSTING, "FAILED", failed, {ZIP: content, SIDECAR: sidecar})

    yield "content-changed", forged(("blobs", "replay"), {**files, note: b"# Forged\n"})
    yield (
        "content-added",
        forged(("blobs", "replay"), {**files, f"{TOP}/data/artifacts/X/y.v1.md": b"x"}),
    )
    gone = {path: body for path, body in files.items() if path != note}
    yield "content-gone", forged(("blobs", "replay"), gone)
    for name, old, new, failed in (
        ("README.md", b"bag", b"bug", ("replay",)),
        ("manifest.json", b"text/markdown", b"text/plain", ("replay",)),
        ("tree.json", b"alpha", b"gamma", ("bag", "replay", "seal")),
    ):
        path = f"{TOP}/data/{name}"
        changed = files[path].replace(old, new, 1)
        assert changed != files[path]
        yield f"{name.partition('.')[0].lower()}-edited", forged(failed, {**files, path: changed})
    events = f"{TOP}/data/events.jsonl"
    lines = files[events].splitlines(keepends=True)
    altered = lines[1].replace(b"user:ada", b"user:eve")
    backdated = lines[2].replace(b"T10:00:03", b"T09:00:03")
    for name, changed_lines in (
        ("event-changed", [lines[0], altered, *lines[2:]]),
        ("event-backdated", [*lines[:2], backdated, lines[3]]),
        ("first-event-dropped", lines[1:]),
        ("middle-event-dropped", [*lines[:1], *lines[2:]]),
        ("last-event-dropped", lines[:-1]),
        ("events-swapped", [lines[0], lines[2], lines[1], lines[3]]),
        ("stream-dropped", [line for line in lines if b"artifact/PRD" not in line]),
    ):
        noticed = "replay" if name == "event-changed" else "events"
        yield (
            name,
            forged(("bag", noticed, "root", "seal"), {**files, events: b"".join(changed_lines)}),
        )
    erased = small_log(erased=True)
    whole = files_of(erased.lines, {**erased.blobs, **log.blobs})
    present = {**whole, "alpha-5/data/artifacts/NOTE/main.v2.md": b"# Document 4\n"}
    content = zip_of(mended(present))
    sidecar = _ledger().seal(erased, content)
    both = {"alpha-5.zip": content, "alpha-5.zip.sigstore.json": sidecar}
    yield "erased-and-present", Case(TRUSTING, "FAILED", ("blobs", "replay"), both, "alpha-5.zip")
    content = zip_of(whole)
    sidecar = _ledger().seal(erased, content)
    both = {"alpha-5.zip": content, "alpha-5.zip.sigstore.json": sidecar}
    yield "erased", Case(TRUSTING, "VERIFIED-UNANCHORED", (), both, "alpha-5.zip")


def _containers() -> Iterator[tuple[str, Case]]:
    """The ZIP holds the same files, and is not the one encoding of them."""
    content = export_of(small_log())
    crafted: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("zip-behind-something", lambda raw: b"#!/bin/sh\n" + raw),
        ("zip-before-something", lambda raw: raw + b"\n"),
        ("zip-with-a-comment", lambda raw: raw[:-2] + b"\x03\x00hey"),
        ("zip-cut-short", lambda raw: raw[:-1]),
        (
            "zip-with-another-time",
            lambda raw: raw.replace(b"\x21\x60\x21\x00", b"\x22\x60\x21\x00", 1),
        ),
        ("zip-with-another-crc", lambda raw: raw[:14] + bytes([raw[14] ^ 1]) + raw[15:]),
        ("zip-that-is-none", lambda raw: b"not a zip\n"),
    )
    for name, craft in crafted:
        made = craft(content)
        if made == content:
            made = content[:10] + bytes([content[10] ^ 1]) + content[11:]
        yield name, Case(TRUSTING, "FAILED", ("shape",), {ZIP: made})


def _seals() -> Iterator[tuple[str, Case]]:
    """The export is good, and its seal is not, or not by the keys that the reader has."""
    log, content = small_log(), export_of(small_log())
    good = _good()[SIDECAR]
    assert good is not None

    def bad(sidecar: bytes | None, state: str = "FAILED") -> Case:
        failed = ("seal",) if state == "FAILED" else ()
        return Case(TRUSTING, state, failed, {SIDECAR: sidecar})

    def edited(*path: str | int, to: Callable[[object], object]) -> bytes:
        value = json.loads(good)
        inner = value
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = to(inner[path[-1]])
        return canonical.write(value)

    def flip(text: object) -> str:
        raw = decode64(str(text))
        assert raw is not None
        return encode64(bytes([raw[0] ^ 1, *raw[1:]]))

    entry = ("verificationMaterial", "tlogEntries", 0)
    proof = (*entry, "inclusionProof")
    yield "no-seal", bad(None, "INCOMPLETE")
    yield "seal-not-json", bad(good[:-1])
    yield "seal-spelt-otherwise", bad(good + b"\n")
    yield (
        "seal-of-another-payload-type",
        bad(edited("dsseEnvelope", "payloadType", to=lambda _: "text/plain")),
    )
    yield (
        "seal-with-two-signatures",
        bad(
            edited("dsseEnvelope", "signatures", to=lambda given: [*list(given), *list(given)])  # type: ignore[call-overload]
        ),
    )
    yield "seal-signature-changed", bad(edited("dsseEnvelope", "signatures", 0, "sig", to=flip))
    yield "seal-payload-changed", bad(edited("dsseEnvelope", "payload", to=flip))
    yield "seal-body-changed", bad(edited(*entry, "canonicalizedBody", to=flip))
    yield "seal-index-changed", bad(edited(*entry, "logIndex", to=lambda _: "1"))
    yield "seal-indexes-changed", bad(canonical.write(_with_indexes(json.loads(good), "1")))
    yield "seal-in-another-log", bad(edited(*entry, "logId", "keyId", to=flip))
    yield "seal-size-changed", bad(edited(*proof, "treeSize", to=lambda _: "4"))
    yield "seal-root-changed", bad(edited(*proof, "rootHash", to=flip))
    yield "seal-proof-changed", bad(edited(*proof, "hashes", 0, to=flip))
    yield "seal-proof-cut", bad(edited(*proof, "hashes", to=lambda _: []))
    yield (
        "seal-checkpoint-changed",
        bad(
            edited(
                *proof,
                "checkpoint",
                "envelope",
                to=lambda text: str(text).replace("\n3\n", "\n4\n"),
            )
        ),
    )
    other_log = small_log(fork=4)
    yield "seal-of-another-export", bad(_ledger().seal(other_log, export_of(other_log)))
    yield (
        "seal-of-another-scope",
        bad(
            _ledger()
            .log(encode_statement(msgspec.structs.replace(described(log, content), scope="run:r1")))
            .sidecar
        ),
    )
    stranger = MemoryLedger(seed=2)
    yield "seal-by-a-fresh-ledger", bad(stranger.seal(log, content, head=HEAD))
    both = _ledger()
    yield (
        "seal-by-an-unknown-key",
        bad(both.log(encode_statement(described(log, content)), seal_signer(3)).sidecar),
    )
    unlogged = _ledger()
    outside = MemoryLedger()
    outside.log_signer = MemoryLedger(seed=4).log_signer
    yield "seal-in-a-log-of-its-own", bad(outside.seal(log, content, head=HEAD))
    trust = unlogged.trust()
    ended = Trust(trust.ledger, trust.log_keys, (SealKey(trust.seal_keys[0].spki, 0, 2),))
    yield (
        "seal-past-its-keys-end",
        Case(TRUSTING, "FAILED", ("seal",), {TRUST: encode_trust(ended)}),
    )
    early = Trust(trust.ledger, trust.log_keys, (SealKey(trust.seal_keys[0].spki, 3, None),))
    yield (
        "seal-before-its-keys-begin",
        Case(TRUSTING, "FAILED", ("seal",), {TRUST: encode_trust(early)}),
    )
    key = LogKey(trust.log_keys[0].public_key, {}, {trust.ledger: 2})
    stale = Trust(trust.ledger, (key,), trust.seal_keys)
    yield (
        "seal-past-its-log-keys-end",
        Case(TRUSTING, "FAILED", ("seal",), {TRUST: encode_trust(stale)}),
    )
    yield "no-keys", Case((), "INCOMPLETE", ())
    yield "head", Case((*TRUSTING, "--head", HEAD.commit), "VERIFIED-UNANCHORED", ())
    yield "head-of-another-commit", Case((*TRUSTING, "--head", "0" * 40), "FAILED", ("head",))
    plain = _ledger().seal(log, content)
    yield (
        "head-not-in-the-seal",
        Case((*TRUSTING, "--head", HEAD.commit), "FAILED", ("head",), {SIDECAR: plain}),
    )
    yield (
        "head-without-a-seal",
        Case((*TRUSTING, "--head", HEAD.commit), "INCOMPLETE", (), {SIDECAR: None}),
    )


def _with_indexes(value: dict[str, object], index: str) -> dict[str, object]:
    material = value["verificationMaterial"]
    assert isinstance(material, dict)
    (entry,) = material["tlogEntries"]
    entry["logIndex"] = entry["inclusionProof"]["logIndex"] = index
    return value


def _anchors() -> Iterator[tuple[str, Case]]:
    """What the reader knows from elsewhere."""
    ledger, log = _ledger(), small_log()
    grown, fork = small_log(6), small_log(6, fork=3)
    pinned = (*TRUSTING, "--pin", "pin")

    def pin(text: str, state: str, *failed: str, more: tuple[str, ...] = (), **files: str) -> Case:
        given = {"pin": text.encode(), **{name: body.encode() for name, body in files.items()}}
        return Case((*pinned, *more), state, failed, given)

    yield "pin", pin(ledger.checkpoint(log.lines), "VERIFIED")
    yield "pin-of-the-beginning", pin(ledger.checkpoint(log.lines[:2]), "VERIFIED")
    yield "pin-of-a-fork", pin(ledger.checkpoint(fork.lines[:3]), "FAILED", "anchor")
    yield (
        "pin-of-another-project",
        pin(ledger.checkpoint(log.lines, "beta.ledger.example"), "FAILED", "anchor"),
    )
    yield (
        "pin-by-an-unknown-key",
        pin(MemoryLedger(seed=2).checkpoint(log.lines), "FAILED", "anchor"),
    )
    signed = ledger.checkpoint(log.lines)
    yield "pin-with-a-wrong-signature", pin(signed.replace("\n4\n", "\n3\n"), "FAILED", "anchor")
    yield "pin-of-a-larger-log", pin(ledger.checkpoint(grown.lines), "INCOMPLETE")
    led = ("--consistency", "proof")
    yield (
        "pin-of-a-larger-log-with-its-proof",
        pin(
            ledger.checkpoint(grown.lines),
            "VERIFIED",
            more=led,
            proof=ledger.consistency(4, grown.lines),
        ),
    )
    yield (
        "pin-of-a-larger-fork-with-its-proof",
        pin(
            ledger.checkpoint(fork.lines),
            "FAILED",
            "anchor",
            more=led,
            proof=ledger.consistency(4, fork.lines),
        ),
    )
    yield (
        "proof-of-another-size",
        pin(
            ledger.checkpoint(grown.lines),
            "FAILED",
            "anchor",
            more=led,
            proof=ledger.consistency(3, grown.lines),
        ),
    )
    yield (
        "old-export-for-the-present-head",
        pin(
            ledger.checkpoint(grown.lines),
            "FAILED",
            "head",
            more=(*led, "--head", HEAD.commit),
            proof=ledger.consistency(4, grown.lines),
        ),
    )
    yield (
        "pin-alone",
        Case(("--pin", "pin"), "VERIFIED", (), {"pin": signed.encode(), SIDECAR: None}),
    )
    yield (
        "pin-of-the-beginning-alone",
        Case(
            ("--pin", "pin"),
            "INCOMPLETE",
            (),
            {"pin": ledger.checkpoint(log.lines[:2]).encode(), SIDECAR: None},
        ),
    )


def _histories() -> Iterator[tuple[str, Case]]:
    """An older export that the reader kept."""
    ledger = _ledger()

    def since(name: str, log: MemoryLog, state: str, *failed: str) -> Case:
        content = export_of(log)
        files = {name: content, f"{name}.sigstore.json": ledger.seal(log, content)}
        return Case((*TRUSTING, "--since", name), state, failed, files)

    yield "since", since("alpha-3.zip", small_log(3), "VERIFIED-UNANCHORED")
    yield "since-itself", since("same.zip", small_log(4), "VERIFIED-UNANCHORED")
    yield "since-a-fork", since("alpha-3.zip", small_log(3, fork=3), "FAILED", "since")
    yield "since-a-larger-one", since("alpha-6.zip", small_log(6), "FAILED", "since")
    broken = export_of(small_log(3))[:-1]
    yield (
        "since-what-is-no-export",
        Case((*TRUSTING, "--since", "old.zip"), "FAILED", ("since",), {"old.zip": broken}),
    )


def write() -> None:
    """Write every case that is not there yet."""
    for name, case in cases().items():
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        absent = sorted(file for file, body in case.files.items() if body is None)
        for file, body in case.files.items():
            if body is not None and not (folder / file).exists():
                (folder / file).write_bytes(body)
        told = {
            "zip": case.zip,
            "arguments": case.arguments,
            "state": case.state,
            "failed": sorted(case.failed),
            "absent": absent,
        }
        if not (folder / "case.json").exists():
            (folder / "case.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def read(name: str) -> tuple[dict[str, bytes], dict[str, object]]:
    """A case as it is frozen: its files, with those of the good one, and what is told of it."""
    folder = FOLDER / name
    told = json.loads((folder / "case.json").read_text("utf-8"))
    files = {
        file.name: file.read_bytes()
        for one in (FOLDER / "good", folder)
        for file in sorted(one.iterdir())
        if file.name != "case.json"
    }
    return {file: body for file, body in files.items() if file not in told["absent"]}, told


def names() -> list[str]:
    """The frozen cases."""
    return sorted(folder.name for folder in FOLDER.iterdir())


if __name__ == "__main__":
    # A sidecar is deterministic: its key's nonces are (RFC 6979), and nothing draws random numbers.
    parse_bundle(_good()[SIDECAR] or b"")
    write()
