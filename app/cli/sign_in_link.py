"""`sign-in-link`: a link that signs a browser in, once."""

import click

from app.cli.choices import chosen

Members = dict[str, object]


@click.command("sign-in-link")
def sign_in_link_command() -> None:
    """Print a link that signs a browser in, once, with the rights of this token."""
    from app.cli.output import remark, show_one

    choices = chosen()
    with choices.client() as client:
        made = client.post("/v1/sign-in-links", None, Members)
    link = f"{choices.connection().url}{made['path']}"
    if choices.output == "table":
        click.echo(link)
        remark(f"It is good once, until {made['expires_at']}.")
    else:
        show_one({"url": link, "expires_at": made["expires_at"]})
