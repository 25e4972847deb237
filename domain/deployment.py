"""Deployment provenance: what was deployed where, from which commit, under which ids and addresses.

It is the content of a `DeploymentRecorded`, or of an artifact of kind DEPLOYMENT_PROVENANCE:
canonical JSON.
"""

from typing import Annotated, Final, Literal

import msgspec

from domain import canonical
from domain.errors import Damaged

SCHEMA: Final = "deedbook/deployment/v1"
KIND = "DEPLOYMENT_PROVENANCE"
MAX_LISTED = 200

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/?#@\\]+([/?#][^\s\\]*)?\Z")]


class _Fact(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    pass


class DeployedArtifact(_Fact, frozen=True, kw_only=True):
    """What was put there, such as an image, by its digest (`sha256:…`)."""

    name: Word
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]


class DeploymentProvenance(_Fact, frozen=True, kw_only=True):
    """One deployment.

    Attributes:
        deployments: The provider's ids, the one in force first.
        urls: Where it answers.
        promoted_from: The deployment that was promoted, if nothing new was built.
        rolled_back_from: The deployment that this one took the place of.
    """

    schema: Literal["deedbook/deployment/v1"]
    provider: Word
    environment: Word
    commit: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{4,64}\Z")]
    outcome: Literal["succeeded", "failed", "rolled_back"]
    deployments: tuple[Word, ...] = ()
    urls: tuple[Url, ...] = ()
    artifacts: tuple[DeployedArtifact, ...] = ()
    promoted_from: Word | None = None
    rolled_back_from: Word | None = None


def deployment_document(deployment: DeploymentProvenance) -> bytes:
    """A deployment as canonical JSON."""
    return canonical.write(deployment)


def read_deployment(raw: bytes) -> DeploymentProvenance:
    """The deployment in a document; refuses bytes that would not be written so.

    Raises:
        Damaged: `deployment-malformed`.
    """
    try:
        found = msgspec.json.decode(raw, type=DeploymentProvenance)
        if canonical.write(found) != raw:
            raise Damaged("deployment-malformed", "The deployment is not in canonical form.")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged("deployment-malformed", f"This is no deployment: {error}.") from None
    if max(len(found.deployments), len(found.urls), len(found.artifacts)) > MAX_LISTED:
        raise Damaged("deployment-malformed", f"The deployment lists more than {MAX_LISTED}.")
    return found
