"""A page like that of `burnish improve`, with hostile text planted among the samples."""

import math
import random

import pytest

from burnish.contracts.page import Chart, Page, Sample, Samples, Series, Table, Text

HOSTILE = (
    "</script><script>alert('x')</script><!-- <img src=https://evil.example/x.png onerror=alert(1)>"
    " \x1b[31mred\x1b[0m \x07 \u202egnp.exe &amp; {{ 7*7 }} 你好 שלום 🙂 \ud800 " + "long" * 400
)
GROUPS = ("basic_arithmetic", "chain_sum", "count_letters", "spell_backward")


def example_samples(num_samples: int = 40) -> list[Sample]:
    """Samples of four groups and all four changes, reproducible; the third is hostile."""
    rng = random.Random(7)
    samples = []
    for index in range(num_samples):
        before, after = rng.random() < 0.25, rng.random() < 0.55
        a, b, c = rng.randrange(100), rng.randrange(100), rng.randrange(10)
        right, wrong = str(a + b * c), str(a + b + c)
        samples.append(
            Sample(
                prompt=f"Calculate {a} + {b} * {c}.\nGive the final answer after 'Answer:'.",
                answer=right,
                before=f"To solve this, we add {a} and {b}.\n\n{a} + {b} = {a + b}\n\n"
                f"Answer: {right if before else wrong}",
                after=f"{b} * {c} = {b * c}\n{a} + {b * c} = {a + b * c}\n"
                f"Answer: {right if after else wrong}",
                before_right=before,
                after_right=after,
                group=GROUPS[index % len(GROUPS)],
            )
        )
    samples[2] = Sample(
        prompt=HOSTILE,
        answer=HOSTILE[:60],
        before=HOSTILE,
        after="<b>bold?</b>",
        before_right=False,
        after_right=True,
        group="<i>" + GROUPS[2],
    )
    return samples


def gate(name: str, outcome: str, bounds: tuple[float, float, float], **more: object) -> dict:
    """One row of `page.gates` with a sentence."""
    value, low, high = bounds
    row = {"name": name, "outcome": outcome, "margin": 0.0, "value": value, "low": low}
    row |= {"high": high, "n": 240, "unit": "accuracy", "n_to_decide": None}
    row |= {"sentence": f"The {name} gate is {outcome}."}
    return row | more


def example_charts() -> list[Chart]:
    """Bars with intervals, a curve with a band, and points."""
    steps = list(range(120))
    loss = [1.9 * math.exp(-s / 30) + 0.6 + 0.05 * math.sin(s) for s in steps]
    bars = {
        "before": (
            [0.31, 0.22, 0.4, 0.05],
            [0.2, 0.13, 0.28, 0.01],
            [0.44, 0.35, 0.53, 0.14],
        ),
        "after": (
            [0.72, 0.61, 0.58, 0.3],
            [0.6, 0.48, 0.45, 0.19],
            [0.82, 0.73, 0.7, 0.43],
        ),
    }
    return [
        Chart(
            title="Accuracy by group",
            kind="bar",
            series=[
                Series(name=name, x=list(GROUPS), y=y, low=low, high=high)
                for name, (y, low, high) in bars.items()
            ],
            x_label="group",
            y_label="accuracy (fraction right)",
            caption="Held-out tasks, 60 a group; bars show 95% intervals.",
        ),
        Chart(
            title="Training loss",
            kind="line",
            series=[
                Series(name="training", x=steps, y=loss),
                Series(
                    name="development",
                    x=steps[::20],
                    y=[v + 0.05 for v in loss[::20]],
                    low=[v for v in loss[::20]],
                    high=[v + 0.1 for v in loss[::20]],
                ),
            ],
            x_label="step",
            y_label="loss (nats/token)",
        ),
        Chart(
            title="Length against accuracy",
            kind="points",
            series=[Series(name="checkpoints", x=[52, 47.5, 44], y=[0.24, 0.49, 0.55])],
            x_label="answer length (tokens)",
            y_label="accuracy",
        ),
    ]


def example_page() -> Page:
    """The whole page."""
    return Page(
        title="burnish improve: smollm2-135m on reasoning tasks",
        verdict="Accuracy on held-out tasks rose from 24% to 55% "
        "(gain 31 points, 95% interval 25 to 37, n=240).",
        good=True,
        headline=[
            ("Accuracy after", "55%", "was 24%; 95% interval 49 to 61"),
            ("Gain", "+31 points", "25 to 37, paired, n = 240"),
            ("Answer length", "44 tokens", "was 52; not longer"),
            ("Time", "9 min 40 s", "planned 10 min, 2 CPU cores"),
        ],
        gates=[
            gate("better", "pass", (0.31, 0.25, 0.37)),
            gate("not longer", "pass", (8.1, 5.5, 10.75), unit="tokens", margin=2.0),
            gate(
                "not leaked",
                "fail",
                (-0.081, -0.12, -0.04),
                margin=0.02,
                unit="overlap",
            ),
            gate(
                "not more forgetful",
                "undetermined",
                (-0.01, -0.05, 0.03),
                n_to_decide=1480,
            ),
        ],
        blocks=[
            *example_charts(),
            Table(
                title="Sampled tokens",
                columns=[
                    "stage",
                    "prompts",
                    "answers",
                    "tokens",
                    "seconds",
                    "tokens/s",
                    "note",
                ],
                rows=[
                    ["measure before", 240, 240, 12480, 61.3, 203.6, None],
                    [
                        "sample",
                        600,
                        2400,
                        118034,
                        241.83,
                        488.1,
                        "drafted, text unchanged",
                    ],
                    ["measure after", 240, 240, 10560, 48.0, 220.0, True],
                ],
                caption="Every token that was generated.",
            ),
            Samples(title="Samples", samples=example_samples(), caption="Held-out tasks."),
            Text(
                title="How to read this",
                text="Held-out tasks are read twice.\n\nNot more.",
            ),
        ],
        command="burnish improve smollm2-135m --preset laptop --tasks chain_sum,spell_backward "
        "--set train.learning_rate=2e-4 --set sample.num_samples=4 --run runs/2026-11-22-improve",
        provenance={
            "model": "smollm2-135m, sha256 b179c952...8110db53, Apache-2.0",
            "burnish": "0.1.0 (git 1a2b3c4)",
            "seed": 20261122,
            "host": {"cpu": "EPYC, 2 cores", "torch": "2.13.0"},
        },
    )


@pytest.fixture
def page() -> Page:
    """The example page."""
    return example_page()
