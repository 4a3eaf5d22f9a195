"""`burnish doctor`: what this machine has, and what is chosen because of it."""

import typer

from burnish.cli.options import AsJson, print_json

app = typer.Typer()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Print hardware, the chosen precision and why, the model cache and optional engines."""
    from burnish.recipes.doctor import examine
    from burnish.report.text import table_as_text

    facts = examine()
    if as_json:
        print_json(facts)
    else:
        print(table_as_text(["what", "found"], [[name, str(text)] for name, text in facts.items()]))
        print('next: burnish generate smollm2-135m "The capital of France is"')
