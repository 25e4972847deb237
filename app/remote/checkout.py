"""What the git checkout around a folder says, where a CI service does not: repository and commits."""

import msgspec

from adapters.git_repository import GitRepository
from app.remote.build_facts import BuildFacts
from domain.errors import DeedbookError, NotFound

DEFAULT_BRANCH = "refs/remotes/origin/HEAD"


def with_checkout(facts: BuildFacts, folder: str = ".") -> BuildFacts:
    """The facts of a build, and what the checkout knows of those that it lacks.

    The base is where HEAD left the default branch of `origin`, if it did.
    """
    try:
        with GitRepository(folder) as repository:
            head = facts.head or repository.head
            return msgspec.structs.replace(
                facts,
                repository=facts.repository or repository.origin(),
                base=facts.base or _base(repository, head),
                head=head,
            )
    except DeedbookError:
        return facts  # no checkout is no fault: then these things are not said


def resolved(revision: str | None, folder: str = ".") -> str | None:
    """The whole SHA of a revision such as `HEAD` or a short SHA; as it is, where none is known."""
    if revision is None:
        return None
    try:
        with GitRepository(folder) as repository:
            return repository.commit(revision)
    except DeedbookError:
        return revision  # of another repository, or none at all: the ledger will say


def _base(repository: GitRepository, head: str) -> str | None:
    try:
        trunk = repository.commit(DEFAULT_BRANCH)
        base = repository.merge_base(trunk, repository.commit(head))
    except NotFound:
        return None
    return base if base != head else None
