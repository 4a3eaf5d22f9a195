"""The end of a native program: what `main` of the tests reached, and what they call to leave."""

import re

_EXIT = re.compile(r"(?<![\w.>:])(?:::)?(?:std\s*::\s*)?(?:_exit|_Exit|exit)\s*\(")
_MAIN = re.compile(
    r"^[ \t]*(?:int|auto|signed|int32_t)\s+main\s*\([^()]*\)(?:\s*->\s*int)?(?=\s*\{)", re.MULTILINE
)
NAME = "burnish_tests"  # what the linker knows the `main` of the tests by
HEAD = """#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>
{extern}int {name}(int, char **);
static inline void burnish_end(int code) {{
  if (!code && write(3, "{nonce}", {size}) < 0) _exit(1);
}}
static inline void burnish_exit(int code) {{ burnish_end(code); exit(code); }}
{main} __asm__("{name}");
int burnish_start(int, char **) __asm__("main");
int burnish_start(int count, char **words) {{
  int code = {name}(count, words);
  burnish_end(code);
  return code;
}}
"""


def ended(asserts: str, nonce: str, *, extern: str) -> str | None:
    """Tests in C or C++ that say a nonce when their `main` returns 0 or they call `exit(0)`.

    Their `main` stays one for the compiler (it needs no `return`) under another symbol, and the
    program starts in ours. Assertions that the code turned off are on again. None: no `main`.
    """
    found = _MAIN.search(asserts)
    if found is None:
        return None
    head = HEAD.format(
        extern=extern, name=NAME, nonce=nonce, size=len(nonce), main=found[0].strip()
    )
    return head + _EXIT.sub("burnish_exit(", asserts)
