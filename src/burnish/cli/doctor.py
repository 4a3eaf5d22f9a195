"""`burnish doctor`: what this machine has, and what is chosen because of it."""

from burnish.cli.options import table
from burnish.cli.verbs import Commands, Outcome

commands = Commands()


@commands.command()
def doctor() -> Outcome:
    """Print hardware, the chosen precision and why, the model cache and optional engines."""
    from burnish.recipes.doctor import examine

    facts = examine()
    return Outcome(
        result=facts,
        text=lambda: table(["what", "found"], [[name, str(x)] for name, x in facts.items()]),
        next_command='burnish generate smollm2-135m "The capital of France is"',
    )
