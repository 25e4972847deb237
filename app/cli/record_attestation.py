"""`record attestation`: a signed statement by others, as it came."""

import click

from app.cli.choices import Command
from app.cli.run_choice import chosen_run, run_option


@click.command("attestation", cls=Command)
@click.argument("file", metavar="FILE")
@run_option
def attestation_command(file: str, run_id: str | None) -> None:
    """Record the attestation in FILE (- is standard input): a DSSE envelope or a Sigstore bundle.

    The ledger reads it, and checks its signature against the keys and identities of the project's
    policy (`deedbook policy show`). One that nobody trusted has signed is recorded as such, or refused
    where the policy says so. docs/attestations.md says the rest.
    """
    from app.cli.given_file import read_given
    from app.cli.output import warn
    from app.cli.recording import show_recorded
    from app.remote.runs import record_attestation
    from domain.attestation import MAX_ATTESTATION_BYTES, read_attestation
    from projections.trail import attested_by

    raw = read_given(file, MAX_ATTESTATION_BYTES)
    read_attestation(raw)
    with chosen_run(run_id) as chosen_one:
        done = record_attestation(chosen_one.client, chosen_one.project, chosen_one.run, raw)
    found = done.attestation
    claim = found.predicate_type or "a file's signature"
    show_recorded(
        done.appended,
        f"Attestation recorded: {claim}, {attested_by(found)}.",
        verified=found.verified,
        predicate_type=found.predicate_type,
        signers=found.signers,
        reason=found.reason,
    )
    if not found.verified:
        warn(f"It is recorded as not verified. {found.detail}")
