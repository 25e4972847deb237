"""A deployment as a person says it, made into the document that is recorded."""

import msgspec

from domain.deployment import SCHEMA, DeploymentProvenance, deployment_document
from domain.errors import Invalid
from projections.timeline import Timeline


def prepare_deployment(
    *,
    provider: str,
    environment: str,
    commit: str,
    outcome: str,
    ids: tuple[str, ...] = (),
    urls: tuple[str, ...] = (),
    artifacts: tuple[str, ...] = (),
    promoted_from: str | None = None,
    rolled_back_from: str | None = None,
) -> bytes:
    """The provenance of a deployment as canonical JSON.

    Args:
        provider: Such as `vercel`.
        environment: Such as `production`.
        commit: Its SHA.
        outcome: How it came out.
        ids: The provider's, the one in force first.
        urls: Where it answers.
        artifacts: What was put there, each as `NAME@sha256:…`.
        promoted_from: The deployment that was promoted.
        rolled_back_from: The deployment that this one took the place of.

    Raises:
        Invalid: `validation-failed`, with a pointer into the document.
    """
    said = {
        "schema": SCHEMA,
        "provider": provider,
        "environment": environment,
        "commit": commit,
        "outcome": outcome,
        "deployments": ids,
        "urls": urls,
        "artifacts": [_named(text) for text in artifacts],
        "promoted_from": promoted_from,
        "rolled_back_from": rolled_back_from,
    }
    try:
        return deployment_document(msgspec.convert(said, DeploymentProvenance))
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        raise Invalid("validation-failed", f"{sentence}.", pointer=pointer or None) from None


def _named(text: str) -> dict[str, str]:
    name, _, digest = text.rpartition("@")
    return {"name": name, "digest": digest}


def effect_behind(shown: Timeline, environment: str) -> str | None:
    """The side effect that a deployment must have been, if only one can be meant."""
    named = {one.backed_by_effect for one in shown.deployments}
    found = [
        one.effect
        for one in shown.effects
        if one.scope == f"deploy.{environment}" and one.effect not in named
    ]
    return found[0] if len(found) == 1 else None
