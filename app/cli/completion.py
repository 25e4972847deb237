"""`completion`: scripts with which a shell completes commands and options."""

import click

from app.cli.choices import Command


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(deedbook completion bash)"
    zsh:  eval "$(deedbook completion zsh)"
    fish: deedbook completion fish | source
    """  # noqa: D301 -- click's mark for a block that is kept as it is
    from click.shell_completion import get_completion_class

    from app.cli.root import root

    kind = get_completion_class(shell)
    assert kind is not None
    # Not through the class's own `source`: for bash it starts a bash to ask for its version.
    script = kind(root, {}, "deedbook", "_DEEDBOOK_COMPLETE")
    click.echo(script.source_template % script.source_vars())
