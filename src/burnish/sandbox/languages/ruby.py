"""Ruby, as CRuby runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from burnish.sandbox.job import MIB, Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import (
    Language,
    MissingToolChain,
    Packages,
    ToolChain,
)


@languages.register("ruby")
@dataclass(frozen=True, kw_only=True)
class Ruby(Language):
    """Ruby with its standard library and its bundled gems."""

    title: ClassVar[str] = "Ruby"
    file_name: ClassVar[str] = "main.rb"
    extensions: ClassVar[tuple[str, ...]] = (".rb",)
    aliases: ClassVar[tuple[str, ...]] = ("rb",)
    package: ClassVar[str] = "ruby (apt-get install ruby)"
    shebangs: ClassVar[tuple[str, ...]] = ("ruby",)
    grammar: ClassVar[str] = "tree_sitter_ruby:language"
    last_words: ClassVar[str] = 'mark = IO.new(3, "w"); mark.write("{nonce}"); mark.close'
    restored: ClassVar[str] = (
        "class Object; %i[raise fail exit abort].each { |name| remove_method(name) if "
        "method_defined?(name, false) || private_method_defined?(name, false) }; end"
    )
    memory_errors: ClassVar[tuple[str, ...]] = ("failed to allocate memory (NoMemoryError)",)

    def find(self) -> ToolChain | MissingToolChain:
        """The system's interpreter."""
        return self._interpreter("ruby")

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Parse without running."""
        return (str(chain.programs["run"]), "-c", source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Run with RubyGems, which finds the bundled gems (`prime`, `matrix`)."""
        return (str(chain.programs["run"]), source)

    def env(self, limits: Limits) -> dict[str, str]:
        """Room for deep recursion: an eighth of the memory instead of 1 MiB."""
        return {"RUBY_THREAD_VM_STACK_SIZE": str(max(limits.memory_bytes // 8, MIB))}

    @property
    def main_again(self) -> str:
        """Asserts behind it may have a main guard of their own."""
        return "$0 = __FILE__"

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Loaded by a line of its own, which is the main program."""
        return (str(chain.programs["run"]), "-e", f"load './{source}'")

    def packages(self, chain: ToolChain, folders: tuple[Path, ...]) -> Packages:
        """Folders with `specifications` are homes of gems; others hold libraries."""
        mounts = {f"/packages/{i}": folder for i, folder in enumerate(folders)}
        gems = [m for m, folder in mounts.items() if (folder / "specifications").is_dir()]
        places = {"GEM_PATH": gems, "RUBYLIB": [m for m in mounts if m not in gems]}
        return Packages(mounts=mounts, env={k: ":".join(v) for k, v in places.items() if v})
