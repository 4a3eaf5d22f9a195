"""`burnish doctor`: what this machine has, and what is chosen because of it."""

import typer

from burnish.cli.options import AsJson, show_result, table

app = typer.Typer()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Print hardware, the chosen precision and why, the model cache and optional engines."""
    from burnish.recipes.doctor import examine

    facts = examine()
    show_result(
        facts,
        as_json=as_json,
        text=lambda: table(["what", "found"], [[name, str(x)] for name, x in facts.items()]),
        next_command='burnish generate smollm2-135m "The capital of France is"',
    )
