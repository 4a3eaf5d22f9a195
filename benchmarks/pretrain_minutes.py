"""Claim: three minutes of `arch pretrain` give a model that packs unseen text better than `xz -9`.

The command of the page, `burnish arch pretrain --corpus stdlib --params 3M --minutes 3`, once.
Bits a byte are those of held-out documents, state and dictionary reset at each; beside them what xz
takes for the same documents, each by itself and all as one stream.
"""

import argparse
from pathlib import Path

from recording import save

import burnish

KEPT = (
    "tokens", "tokens_per_s", "validation", "bits_per_byte", "xz_bits_per_byte",
    "bits_per_byte_interval", "num_heldout_bytes", "xz_stream_bits_per_byte", "num_params",
)  # fmt: skip


def main() -> None:
    """Train, and keep what the result says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--params", default="3M")
    parser.add_argument("--corpus", default="stdlib")
    parser.add_argument("--out", type=Path, default=Path("runs/pretrain-minutes"))
    options = parser.parse_args()
    found = burnish.arch.pretrain(
        corpus=options.corpus, params=options.params, minutes=options.minutes, out=options.out
    )
    rows = {name: found[name] for name in KEPT if name in found}
    print(rows)
    told = {"minutes": options.minutes, "params": options.params, "corpus": options.corpus}
    save("pretrain_minutes", told | rows)


if __name__ == "__main__":
    main()
