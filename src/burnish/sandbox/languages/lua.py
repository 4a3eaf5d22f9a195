"""Lua, as lua runs it."""

import re
from dataclasses import dataclass
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain

_RETURN = re.compile(r"^return\b(?:\s+[\w.]+|\s*\{[^{}]*\})?[ \t;]*\s*\Z", re.MULTILINE)


@languages.register("lua")
@dataclass(frozen=True, kw_only=True)
class Lua(Language):
    """Lua 5.4, or the newest that is installed."""

    title: ClassVar[str] = "Lua"
    file_name: ClassVar[str] = "main.lua"
    extensions: ClassVar[tuple[str, ...]] = (".lua",)
    aliases: ClassVar[tuple[str, ...]] = ("lua5.4",)
    package: ClassVar[str] = "lua5.4 (apt-get install lua5.4)"
    shebangs: ClassVar[tuple[str, ...]] = ("lua",)
    grammar: ClassVar[str] = "tree_sitter_lua:language"
    last_words: ClassVar[str] = 'local m = io.open("/dev/fd/3", "w"); m:write("{nonce}"); m:close()'
    restored: ClassVar[str] = (
        "assert = function(v, ...) if v then return v, ... end "
        'error(... == nil and "assertion failed!" or ..., 0) end'
    )
    memory_errors: ClassVar[tuple[str, ...]] = ("not enough memory",)

    def find(self) -> ToolChain | MissingToolChain:
        """The newest of the system's interpreters."""
        return self._interpreter("lua5.4", "lua", "lua5.3", version=("-v",))

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        check = "local f, e = loadfile('" + source + "') if not f then error(e) end"
        return (str(chain.programs["run"]), "-E", "-e", check)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run without Lua's environment variables."""
        return (str(chain.programs["run"]), "-E", source)

    @property
    def main_again(self) -> str:
        """Asserts behind it may have a main guard of their own, but for one that asks for `...`."""
        return f"arg[0] = '{self.file_name}'; debug.getlocal = function() error('main') end"

    def joined(self, code: str, asserts: str) -> str:
        """One file: what a module returns at its end, asserts behind it could not follow."""
        return super().joined(_RETURN.sub("", code), asserts)

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Loaded with a name, as `require` does it, by a line that is the main program."""
        load = f"assert(loadfile('{source}'))('main', './{source}')"
        return (str(chain.programs["run"]), "-E", "-e", load)
