"""Detection: planted programs, hints, abstaining. Accuracy on foreign files is a benchmark."""

# ruff: noqa: E501 - programs stand on one line

import numpy as np
import pytest
from fixtures.programs import DIALECTS, random_tree, write

from burnish.base.errors import InputError, MissingFileError
from burnish.sandbox.detect_features import NUM_BUCKETS, bucket_features
from burnish.sandbox.detect_model import load_language_model
from burnish.sandbox.detection import detect, families, part_families
from burnish.sandbox.languages import languages

PROGRAMS = {
    "bash": '#!/bin/bash\nset -e\nfor f in "$@"; do\n  if [ -f "$f" ]; then\n    wc -l "$f"\n  fi\ndone\n',
    "c": '#include <stdio.h>\n#include <stdlib.h>\n\nint main(int argc, char **argv) {\n  char *s = malloc(10);\n  printf("%p\\n", (void *)s);\n  free(s);\n  return 0;\n}\n',
    "cpp": "#include <iostream>\n#include <vector>\nusing namespace std;\nint main() {\n  vector<int> v;\n  for (auto x : v) cout << x << endl;\n}\n",
    "csharp": 'using System;\nusing System.Collections.Generic;\nnamespace A {\n  class P {\n    static void Main(string[] args) {\n      var list = new List<int>();\n      Console.WriteLine($"n {list.Count}");\n    }\n  }\n}\n',
    "go": 'package main\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc main() {\n\tx := os.Args\n\tfmt.Println(len(x))\n}\n',
    "java": "import java.util.*;\n\npublic class Main {\n  public static void main(String[] args) {\n    List<Integer> xs = new ArrayList<>();\n    System.out.println(xs.size());\n  }\n}\n",
    "javascript": "const fs = require('fs');\nfunction f(a, b) {\n  return a.map((x) => x + b);\n}\nmodule.exports = { f };\nconsole.log(f([1], 2));\n",
    "lua": "local t = {}\nfor i = 1, 10 do\n  t[#t + 1] = i\nend\nlocal function f(x)\n  return x ~= nil and x or 0\nend\nprint(f(t[1]))\n",
    "perl": "use strict;\nuse warnings;\nmy %h;\nwhile (my $line = <STDIN>) {\n  chomp $line;\n  $h{$line}++ if $line =~ /a+/;\n}\nprint join(',', keys %h), \"\\n\";\n",
    "php": "<?php\nfunction f($a) {\n  return array_sum($a);\n}\n$x = [1, 2];\necho f($x), PHP_EOL;\n",
    "python": "import sys\n\n\ndef f(a):\n    return [x for x in a if x]\n\n\nprint(f(sys.argv))\n",
    "r": "x <- c(1, 2, 3)\nf <- function(a, b = 2) {\n  sapply(a, function(i) i^b)\n}\nprint(mean(f(x)))\ny <- data.frame(x = x)\nsummary(lm(x ~ 1, data = y))\n",
    "ruby": "require 'set'\nclass A\n  attr_reader :x\n  def initialize(x)\n    @x = x\n  end\nend\nputs A.new(1).x\n[1, 2].each do |i|\n  puts i\nend\n",
    "rust": 'use std::collections::HashMap;\n\nfn main() {\n    let mut m: HashMap<String, i32> = HashMap::new();\n    m.insert("a".to_string(), 1);\n    println!("{:?}", m);\n}\n',
    "typescript": "interface P {\n  name: string;\n  age?: number;\n}\nexport function f(p: P): string {\n  const x: number[] = [1];\n  return `${p.name} ${x.length}`;\n}\n",
}  # fmt: skip


def check_planted(detected):
    assert {name: detected(code) for name, code in PROGRAMS.items()} == {n: n for n in PROGRAMS}


def test_planted_programs_of_every_language():
    assert sorted(PROGRAMS) == languages.names()
    check_planted(lambda code: detect(code).language)


def test_planted_detector_that_sees_no_letters():
    def worse(code):
        return detect("".join(c for c in code if not c.isalpha())).language

    with pytest.raises(AssertionError):
        check_planted(worse)


@pytest.mark.parametrize("language", DIALECTS)
def test_generated_programs_are_among_the_likeliest(language):
    code = write(random_tree(3), language).code
    names = [name for name, _ in detect(code).candidates[:4]]
    assert language in names or {"c", "cpp"} & set(names) & {language, "c"}


def test_c_with_one_construct_of_its_own_is_cpp():
    plain = PROGRAMS["c"].replace(
        "int main", "static int twice(int x) { return 2 * x; }\n\nint main"
    )
    cpp = plain.replace("(void *)s", "static_cast<void *>(s)").replace(
        "static int", "constexpr int"
    )
    assert [detect(code).language for code in (plain, cpp)] == ["c", "cpp"]


def test_javascript_with_a_type_is_typescript():
    typed = PROGRAMS["javascript"].replace("(a, b)", "(a: number[], b: number)")
    for shebang in ("", "#!/usr/bin/env bun\n", "#!/usr/bin/env node\n"):
        assert detect(shebang + typed).language == "typescript"
        assert detect(shebang + PROGRAMS["javascript"]).language == "javascript"


def test_a_wildcard_of_java_opens_no_php():
    code = (
        PROGRAMS["java"]
        .replace("List<Integer>", "List<?>")
        .replace("ArrayList<>", "ArrayList<Long>")
    )
    assert detect(code).language == "java"


def test_a_split_moves_nothing_out_of_its_family():
    model = load_language_model()
    scores, evidence = np.linspace(-3, 2, len(model.classes)), np.zeros((len(families()), 7))
    evidence[:, 0] = 1.0
    parted = part_families(model, scores, evidence)
    for pair in families():
        places = [model.classes.index(name) for name in pair]
        assert np.logaddexp(*parted[places]) == pytest.approx(np.logaddexp(*scores[places]))
    others = [i for i, n in enumerate(model.classes) if n not in {x for p in families() for x in p}]
    assert (parted[others] == scores[others]).all()
    assert (part_families(model, scores, 0 * evidence) == scores).all()


def test_probabilities_are_probabilities():
    found = detect("x = 1\n")
    assert sum(p for _, p in found.candidates) == pytest.approx(1)
    assert found.confidence == found.candidates[0][1]


def test_it_abstains_on_text():
    found = detect("Dear all,\n\nplease find the minutes of our meeting below.\n\nBest wishes\n")
    assert found.language is None or found.confidence < 0.9


@pytest.mark.parametrize(
    ("path", "language"), [("a.py", "python"), ("a.rb", "ruby"), ("b.js", "javascript")]
)
def test_an_extension_decides_where_the_text_does_not(path, language):
    assert detect("x = 1\n", path).language == language


def test_an_answer_without_a_hint_must_be_likelier_than_all_others():
    found = detect("x = 1\n", "b.js")
    assert (found.language, found.confidence < 0.5) == ("javascript", True)
    found = detect("foo(1)\n")
    assert (found.language, 0.4 < found.confidence < 0.5) == (None, True)


def test_a_shebang_decides():
    assert detect("#!/usr/bin/env ruby\nx = 1\n").language == "ruby"
    assert detect("#!/usr/bin/python3\nx = 1\n").language == "python"


def test_a_wrong_extension_is_outvoted():
    assert detect(PROGRAMS["rust"] * 3, "main.c").language == "rust"


def test_it_abstains_where_there_is_next_to_nothing():
    assert detect("30\n").language is None
    assert detect("30\n", "a.lua").language == "lua"


def test_nothing_is_refused():
    with pytest.raises(InputError, match="must not be empty"):
        detect(" \n\t")


def test_features_are_distinct_buckets_in_order():
    buckets = bucket_features("int main(void) { return 0; }\n" * 3)
    assert (buckets[1:] > buckets[:-1]).all()
    assert buckets.min() >= 0 and buckets.max() < NUM_BUCKETS
    assert len(bucket_features("")) == 0


def test_a_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(MissingFileError, match="sandbox_corpus"):
        load_language_model(tmp_path / "none.npz")


def test_bytes_that_are_no_text_do_not_break_it():
    found = detect("\x00\ud800 \x01 def f(:\n" * 20)
    assert found.language is None  # whatever its tokens are like, nothing of it parses
