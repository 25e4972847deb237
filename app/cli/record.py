"""`record`: the group of the commands that record what is done in a run."""

from app.cli.lazy_group import LazyGroup

COMMANDS = {
    "plan": ("record_plan", "Record the plan, from Markdown or JSON."),
    "patchset": ("record_patchset", "Record the commits between two, from git."),
    "verification": ("record_verification", "Record what linters, type checkers and tests found."),
    "transcript": ("record_transcript", "Run a command and record what it wrote."),
    "attestation": (
        "record_attestation",
        "Record a signed statement by others: DSSE or a Sigstore bundle.",
    ),
    "approval": ("record_approval", "Ask for an approval, grant or reject it."),
    "effect": ("record_effect", "Record what is changed outside: before, and after."),
    "deployment": ("record_deployment", "Record a deployment."),
    "infrastructure": ("record_infrastructure", "Record what the run's infrastructure is."),
    "step": ("record_step", "Record that a step begins and ends."),
}

record_command = LazyGroup(
    COMMANDS,
    name="record",
    help="Record what is done in a run.\n\n"
    "The run that was started last is the one meant, unless --run or DEEDBOOK_RUN names another.",
    no_args_is_help=True,
)
