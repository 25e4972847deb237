"""`ci`: the group of the commands for a job of GitHub Actions; `action.yml` runs them one by one."""

from app.cli.lazy_group import LazyGroup

COMMANDS = {
    "login": ("ci_login", "Exchange the job's identity token for a short-lived token."),
    "begin": ("ci_record", "Start a run for this job."),
    "record": ("ci_record", "Record patch set, reports and deployment, and finish the run."),
    "summary": ("ci_page", "Print the run as Markdown."),
    "comment": ("ci_page", "Put the same on the pull request, as one comment."),
    "logout": ("ci_login", "End the token, and forget it."),
}

ci_command = LazyGroup(
    COMMANDS,
    name="ci",
    help="Record a job of GitHub Actions, and show it on its pull request.\n\n"
    "docs/github-action.md has the workflows; the action runs these commands in this order.",
    no_args_is_help=True,
)
