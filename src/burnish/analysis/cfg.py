"""Control flow graphs of functions, and McCabe's number of them."""

from dataclasses import dataclass, field

from burnish.analysis.outline import Statement

ENTRY, EXIT = 0, 1


@dataclass(frozen=True, kw_only=True)
class ControlFlowGraph:
    """Nodes are statements (0 the entry, 1 the exit); `lines` gives each node's line.

    Only what control can reach is in the graph; `unreachable` are lines of the rest.
    """

    lines: tuple[int, ...]
    edges: frozenset[tuple[int, int]]
    unreachable: tuple[int, ...]

    @property
    def complexity(self) -> int:
        """McCabe's number, E - N + 2P with one component.

        Source: McCabe 1976, "A complexity measure".
        Oracle: tests/analysis/test_cfg.py::test_mccabe_of_generated_programs
        """
        return len(self.edges) - len(self.lines) + 2

    def line_edges(self) -> tuple[tuple[int, int], ...]:
        """The edges between lines: 0 is the entry, -1 the exit."""
        return tuple(sorted({(self.lines[a], self.lines[b]) for a, b in self.edges}))


def build_cfg(body: list[Statement], *, falls_through: bool) -> ControlFlowGraph:
    """The graph of a function's body. Exceptions go to the handlers from the head of their `try`.

    A loop without an end keeps an edge to what follows it, so that the exit stays reachable.
    """
    builder = _Builder(falls_through=falls_through)
    builder.join(builder.sequence(body, {ENTRY}), EXIT)
    return builder.graph()


@dataclass
class _Builder:
    falls_through: bool
    lines: list[int] = field(default_factory=lambda: [0, -1])
    edges: set[tuple[int, int]] = field(default_factory=set)
    breaks: list[set[int]] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)

    def join(self, sources: set[int], target: int) -> None:
        self.edges |= {(source, target) for source in sources}

    def sequence(self, body: list[Statement], sources: set[int]) -> set[int]:
        for statement in body:
            sources = self.statement(statement, sources)
        return sources

    def statement(self, statement: Statement, sources: set[int]) -> set[int]:
        node = len(self.lines)
        self.lines.append(statement.line)
        self.join(sources, node)
        match statement.kind:
            case "if":
                return self._if(statement, node)
            case "loop":
                return self._loop(statement, node)
            case "do":
                return self._do(statement, node)
            case "switch":
                return self._switch(statement, node)
            case "try":
                return self._try(statement, node)
            case "break" if self.breaks:
                self.breaks[-1].add(node)
                return set()
            case "continue" if self.heads:
                self.join({node}, self.heads[-1])
                return set()
            case "leave":
                self.join({node}, EXIT)
                return set()
        return {node}

    def _if(self, statement: Statement, node: int) -> set[int]:
        ends: set[int] = set() if statement.exhaustive else {node}
        for branch in statement.branches:
            ends |= self._branch(branch, node)
        return ends

    def _branch(self, branch: list[Statement], node: int) -> set[int]:
        """An empty branch is a node of its own: two empty ones must not become one edge."""
        if branch:
            return self.sequence(branch, {node})
        self.lines.append(self.lines[node])
        self.join({node}, len(self.lines) - 1)
        return {len(self.lines) - 1}

    def _loop(self, statement: Statement, node: int) -> set[int]:
        self.breaks.append(set())
        self.heads.append(node)
        self.join(self._branch(statement.branches[0], node), node)
        self.heads.pop()
        return {node} | self.breaks.pop()

    def _do(self, statement: Statement, node: int) -> set[int]:
        condition = len(self.lines)
        self.lines.append(statement.node.end_point[0] + 1)
        self.breaks.append(set())
        self.heads.append(condition)
        self.join(self._branch(statement.branches[0], node), condition)
        self.join({condition}, node)
        self.heads.pop()
        return {condition} | self.breaks.pop()

    def _switch(self, statement: Statement, node: int) -> set[int]:
        ends: set[int] = set() if statement.exhaustive else {node}
        self.breaks.append(set())
        falling: set[int] = set()
        for branch in statement.branches:
            if branch:
                start = len(self.lines)
                falling_in, falling = falling, self.sequence(branch, {node})
                self.join(falling_in, start)
            else:
                falling |= self._branch(branch, node)
            if not self.falls_through:
                ends, falling = ends | falling, set()
        return ends | falling | self.breaks.pop()

    def _try(self, statement: Statement, node: int) -> set[int]:
        ends: set[int] = set()
        branches = statement.branches if statement.exhaustive else statement.branches[:-1]
        for branch in branches:
            ends |= self._branch(branch, node)
        return ends if statement.exhaustive else self.sequence(statement.branches[-1], ends)

    def graph(self) -> ControlFlowGraph:
        reached, stack = {ENTRY, EXIT}, [ENTRY]
        while stack:
            current = stack.pop()
            for a, b in self.edges:
                if a == current and b not in reached:
                    reached.add(b)
                    stack.append(b)
        order = {node: i for i, node in enumerate(sorted(reached))}
        edges = frozenset((order[a], order[b]) for a, b in self.edges if a in order and b in order)
        if not any(b == EXIT for _, b in edges):
            edges |= {(ENTRY, EXIT)}  # nothing ends: the exit hangs on the entry
        lost = sorted({self.lines[i] for i in range(len(self.lines)) if i not in reached})
        lines = tuple(self.lines[node] for node in sorted(reached))
        return ControlFlowGraph(lines=lines, edges=edges, unreachable=tuple(lost))
