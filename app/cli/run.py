"""`run`: the group of the commands about whole runs."""

from app.cli.lazy_group import LazyGroup

COMMANDS = {
    "start": ("run_start", "Create and start a run."),
    "list": ("run_state", "List the runs."),
    "status": ("run_state", "Show a run's phase and what is open in it."),
    "show": ("run_show", "Show what happened in a run, who allowed it, what it changed."),
    "pause": ("run_phases", "Say that the run waits."),
    "resume": ("run_phases", "Say that it goes on."),
    "finish": ("run_phases", "Say how it ended, and write its audit bundle."),
    "bundle": ("run_phases", "Write the run's audit bundle."),
    "erase": ("run_erase", "Erase contents that a run recorded."),
}

run_command = LazyGroup(
    COMMANDS,
    name="run",
    help="Begin, watch and finish an implementation run.\n\n"
    "The run that was started last is the one meant, unless --run or DEEDBOOK_RUN names another.",
    no_args_is_help=True,
)
