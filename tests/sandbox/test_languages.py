"""Every language: found, run for real where its tool chain is here, and named where it is not."""

# ruff: noqa: E501 - programs stand on one line

import pytest

from burnish.sandbox.job import Limits
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language, languages
from burnish.sandbox.languages.language import MissingToolChain, find_program, outside_usr
from burnish.sandbox.problem import Problem, StdioTest
from burnish.sandbox.verdict import Status

SUM = {  # reads two numbers on one line, prints their sum
    "bash": "read a b\necho $((a + b))\n",
    "c": '#include <stdio.h>\nint main(void) { int a, b; scanf("%d %d", &a, &b); printf("%d\\n", a + b); return 0; }\n',
    "cpp": "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b << '\\n'; }\n",
    "csharp": 'using System;\nusing System.Linq;\nclass P { static void Main() { Console.WriteLine(Console.ReadLine().Split().Select(int.Parse).Sum()); } }\n',
    "go": 'package main\nimport "fmt"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b) }\n',
    "java": "import java.util.*;\npublic class Sum { public static void main(String[] x) { Scanner s = new Scanner(System.in); System.out.println(s.nextInt() + s.nextInt()); } }\n",
    "javascript": 'const [a, b] = require("fs").readFileSync(0, "utf8").split(" ").map(Number);\nconsole.log(a + b);\n',
    "lua": 'local a, b = io.read("n", "n")\nprint(a + b)\n',
    "perl": "my ($a, $b) = split ' ', <STDIN>;\nprint $a + $b, \"\\n\";\n",
    "php": '<?php [$a, $b] = explode(" ", fgets(STDIN)); echo $a + $b, "\\n";\n',
    "python": "a, b = map(int, input().split())\nprint(a + b)\n",
    "r": 'x <- scan(file("stdin"), quiet = TRUE)\ncat(sum(x), "\\n", sep = "")\n',
    "ruby": "puts gets.split.sum(&:to_i)\n",
    "rust": 'use std::io;\nfn main() { let mut s = String::new(); io::stdin().read_line(&mut s).unwrap(); let t: i64 = s.split_whitespace().map(|x| x.parse::<i64>().unwrap()).sum(); println!("{}", t); }\n',
    "typescript": 'import * as fs from "fs";\nconst [a, b]: number[] = fs.readFileSync(0, "utf8").split(" ").map(Number);\nconsole.log(a + b);\n',
}  # fmt: skip
BROKEN = {name: "this is ( no program\n" for name in SUM} | {
    "php": "<?php echo 1 echo 2;\n", "bash": "if then fi (\n", "typescript": "const a: number = 'x';\n",
    "ruby": "def (\n", "perl": "sub {{ ( ;\n",
}  # fmt: skip


def judged(code, language, tests):
    tests = tuple(StdioTest(stdin=a, stdout=b) for a, b in tests)
    result = judge(Problem(code=code, language=language, tests=tests, limits=Limits(cpu_s=5)))
    if isinstance(find_language(language).find(), MissingToolChain):
        assert result.verdict is Status.INFRASTRUCTURE_ERROR
        assert find_language(language).package in result.reason
        pytest.skip(result.reason)
    return result


def test_there_are_fifteen_languages():
    assert languages.names() == sorted(SUM)


@pytest.mark.parametrize("language", SUM)
def test_a_sum_is_accepted_and_a_wrong_one_is_not(language, sandbox_cache):
    result = judged(SUM[language], language, [("2 3\n", "5\n"), ("20 22\n", "43\n")])
    found = [(test.status, test.stderr) for test in result.tests]
    assert [f[0] for f in found] == [Status.ACCEPTED, Status.WRONG_ANSWER], found


@pytest.mark.parametrize("language", SUM)
def test_what_is_no_program_does_not_compile(language, sandbox_cache):
    result = judged(BROKEN[language], language, [("", "")])
    assert result.verdict is Status.COMPILE_ERROR, result


@pytest.mark.parametrize("name", ["py", "C++", "nodejs", ".rs", "R", "c#", "golang", "sh"])
def test_aliases_are_known(name):
    assert find_language(name).title


def test_java_is_named_after_its_class():
    java = find_language("java")
    assert java.source_name("public class Foo { }") == "Foo.java"
    assert (
        java.source_name("class A {} class B { public static void main(String[] a) {} }")
        == "B.java"
    )
    assert java.source_name("// public class Not {}\nclass Yes {}") == "Yes.java"
    assert java.source_name("int x;") == "Main.java"
    main = "public static void main(String[] a) { }"
    assert java.source_name(f"public class U {{ }} class R {{ {main} }}") == "R/U.java"
    assert java.source_name(f"package a.b;\nclass R {{ {main} }}") == "a.b.R/R.java"
    assert java.source_name(f"class C {{ char c = '{{'; }} class R {{ {main} }}") == "R.java"
    assert java.source_name(f'class C {{ String s = "}}"; }} class R {{ {main} }}') == "R.java"
    text = f'class C {{ String s = """\n {{ " \n"""; }} class R {{ {main} }}'
    assert java.source_name(text) == "R.java"
    assert java.source_name(f"class C {{ class In {{ }} {main} }} class D {{ }}") == "C.java"


def test_java_runs_the_main_of_the_tests():
    java = find_language("java")
    main = "public static void main(String[] a) { }"
    code, asserts = f"public class S {{ {main} }}", f"import x.Y;\npublic class T {{ {main} }}"
    named = java.for_asserts(asserts)
    joined = named.joined(code, asserts)
    assert named.source_name(joined) == "T/S.java"
    assert joined.startswith("import x.Y;public class S") and " class T" in joined
    assert joined.count("public class") == 1
    assert java.for_asserts("f();") is java


def test_php_gets_its_tag_and_joins_whatever_is_open():
    php = find_language("php")
    assert php.completed("echo 1;") == "<?php echo 1;"
    assert php.completed("<?= 1 ?>") == "<?= 1 ?>" and php.completed("  ") == "  "
    assert php.joined("<?php f(); ?>", "g();") == "<?php f(); ?>\n<?php g();"
    assert php.joined("<?php f();", "<?php g();") == "<?php f();\n?><?php g();"


@pytest.mark.parametrize("language", SUM)
def test_a_missing_tool_chain_names_its_package(language, monkeypatch):
    def nothing(*names):
        return None

    cls = languages.get(language)
    module = __import__(cls.__module__, fromlist=["x"])
    base = __import__("burnish.sandbox.languages.language", fromlist=["x"])
    for place in (module, base):
        for name in ("find_program", "find_wheel_program"):
            if hasattr(place, name):
                monkeypatch.setattr(place, name, nothing)
    found = languages.build(language).find()
    if language == "python":
        assert not isinstance(found, MissingToolChain)  # it is the interpreter that runs us
    else:
        assert isinstance(found, MissingToolChain)
        assert "install" in found.reason.lower()


def test_only_what_lies_outside_usr_is_made_visible(tmp_path):
    program = tmp_path / "go" / "bin" / "go"
    program.parent.mkdir(parents=True)
    program.touch()
    assert outside_usr(program) == (tmp_path / "go",)
    assert outside_usr(find_program("sh")) == ()
