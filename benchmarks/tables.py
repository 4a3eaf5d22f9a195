"""Write the tables of README and docs again, from `benchmarks/results`; part of `make docs`."""

from recording import RESULTS
from recording.pages import ROOT, pages, render


def main() -> None:
    """Write every page whose tables are stale, and name it."""
    for page in pages():
        old = page.read_text()
        new = render(old, RESULTS, RESULTS.parent / "tables")
        if new != old:
            page.write_text(new)
            print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
