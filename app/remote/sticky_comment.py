"""One comment on a pull request that stays one: found by a hidden mark, made once, and then changed."""

import msgspec

from adapters.github_api import GitHubApi
from domain.errors import TooLarge

AUTHOR = "github-actions[bot]"
"""As whom a job's own token comments."""
PAGE = 100
MAX_PAGES = 30
MAX_COMMENT_CHARACTERS = 65_000
"""GitHub takes 65,536."""


class Comment(msgspec.Struct, frozen=True):
    """A comment as GitHub answers it."""

    id: int
    html_url: str = ""
    body: str | None = None
    user: dict[str, object] | None = None


def mark_of(project: str) -> str:
    """The first line of the comment of a project; nobody sees it."""
    return f"<!-- deedbook: {project} -->"


def put_comment(
    api: GitHubApi, repository: str, number: int, project: str, page: str, author: str = AUTHOR
) -> Comment:
    """Make the comment, or change the one that is there.

    Only a comment of `author` counts: everybody can write the mark.

    Raises:
        TooLarge: `comment-too-large`.
        Forbidden: `github-forbidden`.
        Unavailable: `github-refused`, `gh-missing`.
    """
    body = f"{mark_of(project)}\n{page}"
    if len(body) > MAX_COMMENT_CHARACTERS:
        raise TooLarge("comment-too-large", f"The comment has {len(body)} characters.")
    comments = f"repos/{repository}/issues/{number}/comments"
    there = _find(api, comments, mark_of(project), author)
    if there is None:
        return api.send("POST", comments, {"body": body}, Comment)
    one = f"repos/{repository}/issues/comments/{there.id}"
    return api.send("PATCH", one, {"body": body}, Comment)


def _find(api: GitHubApi, path: str, mark: str, author: str) -> Comment | None:
    """The oldest one with the mark."""
    for number in range(1, MAX_PAGES + 1):
        page = api.get(path, list[Comment], {"per_page": str(PAGE), "page": str(number)})
        for one in page:
            by = (one.user or {}).get("login")
            if by == author and (one.body or "").partition("\n")[0].rstrip() == mark:
                return one
        if len(page) < PAGE:
            return None
    return None
