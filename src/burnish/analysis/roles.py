"""What the node types of each grammar mean for control flow: one table for all languages."""

from dataclasses import dataclass, field
from typing import Any


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_C_LIKE = {
    "containers": "compound_statement block statement_block translation_unit program source_file "
    "else_clause statement_list declaration_list compilation_unit",
    "ifs": "if_statement",
    "loops": "for_statement while_statement for_range_loop enhanced_for_statement for_in_statement "
    "foreach_statement",
    "dos": "do_statement",
    "switches": "switch_statement switch_expression",
    "tries": "try_statement try_with_resources_statement",
    "catches": "catch_clause",
    "breaks": "break_statement",
    "continues": "continue_statement",
    "leaves": "return_statement throw_statement",
    "ternaries": "conditional_expression ternary_expression",
    "comments": "comment line_comment block_comment",
    "falls_through": True,
}


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Node types by what they do. Empty: the language has none.

    `containers` hold statements; `wrappers` hold one, which is looked at instead of them;
    `unprobed` are statements that must not, or need not, be preceded by another one.
    """

    functions: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    wrappers: frozenset[str] = frozenset({"expression_statement"})
    ifs: frozenset[str] = frozenset()
    elifs: frozenset[str] = frozenset()
    elses: frozenset[str] = frozenset({"else_clause"})
    loops: frozenset[str] = frozenset()
    dos: frozenset[str] = frozenset()
    switches: frozenset[str] = frozenset()
    cases: frozenset[str] = frozenset()
    defaults: frozenset[str] = frozenset()
    tries: frozenset[str] = frozenset()
    catches: frozenset[str] = frozenset()
    finals: frozenset[str] = frozenset({"finally_clause"})
    breaks: frozenset[str] = frozenset()
    continues: frozenset[str] = frozenset()
    leaves: frozenset[str] = frozenset()
    ternaries: frozenset[str] = frozenset()
    comments: frozenset[str] = frozenset({"comment"})
    short_circuits: frozenset[str] = field(default=frozenset({"&&", "||", "and", "or", "??"}))
    unprobed: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    falls_through: bool = False


def roles_of(language: str) -> Roles:
    """The table of a language; one without a grammar has the empty one."""
    values = _TABLES.get("javascript" if language == "typescript" else language, {})
    fields: dict[str, Any] = {k: _set(v) if isinstance(v, str) else v for k, v in values.items()}
    return Roles(**fields)


_TABLES: dict[str, dict[str, str | bool]] = {
    "python": {
        "functions": "function_definition lambda",
        "containers": "module block else_clause finally_clause",
        "ifs": "if_statement", "elifs": "elif_clause", "elses": "else_clause",
        "loops": "for_statement while_statement", "switches": "match_statement",
        "cases": "case_clause", "tries": "try_statement", "catches": "except_clause",
        "breaks": "break_statement", "continues": "continue_statement",
        "leaves": "return_statement raise_statement",
        "ternaries": "conditional_expression if_clause for_in_clause",
        "classes": "class_definition",
    },
    "c": _C_LIKE | {
        "functions": "function_definition", "cases": "case_statement",
        "unprobed": "function_definition preproc_include preproc_def preproc_function_def "
        "type_definition struct_specifier enum_specifier union_specifier case_statement",
    },
    "cpp": _C_LIKE | {
        "functions": "function_definition lambda_expression", "cases": "case_statement",
        "classes": "class_specifier struct_specifier",
        "unprobed": "function_definition preproc_include preproc_def preproc_function_def "
        "type_definition struct_specifier enum_specifier class_specifier using_declaration "
        "alias_declaration template_declaration namespace_definition case_statement",
    },
    "java": _C_LIKE | {
        "containers": str(_C_LIKE["containers"]) + " constructor_body finally_clause",
        "functions": "method_declaration constructor_declaration lambda_expression",
        "cases": "switch_block_statement_group switch_rule",
        "classes": "class_declaration record_declaration enum_declaration interface_declaration",
        "unprobed": "explicit_constructor_invocation class_declaration record_declaration "
        "enum_declaration interface_declaration import_declaration package_declaration",
    },
    "javascript": _C_LIKE | {
        "functions": "function_declaration function_expression arrow_function method_definition "
        "generator_function_declaration generator_function",
        "cases": "switch_case switch_default", "defaults": "switch_default",
        "classes": "class_declaration class",
        "unprobed": "function_declaration generator_function_declaration class_declaration "
        "import_statement export_statement empty_statement hash_bang_line "
        "interface_declaration type_alias_declaration enum_declaration ambient_declaration "
        "abstract_class_declaration module internal_module",
    },
    "go": _C_LIKE | {
        "functions": "function_declaration method_declaration func_literal",
        "loops": "for_statement", "dos": "", "tries": "", "catches": "",
        "switches": "expression_switch_statement type_switch_statement select_statement",
        "cases": "expression_case type_case communication_case default_case",
        "defaults": "default_case", "leaves": "return_statement", "falls_through": False,
        "unprobed": "function_declaration method_declaration import_declaration package_clause "
        "type_declaration fallthrough_statement empty_statement",
    },
    "rust": {
        "functions": "function_item closure_expression",
        "containers": "source_file block else_clause declaration_list match_block",
        "ifs": "if_expression", "loops": "for_expression while_expression loop_expression",
        "switches": "match_expression", "cases": "match_arm", "breaks": "break_expression",
        "continues": "continue_expression", "leaves": "return_expression",
        "ternaries": "try_expression", "comments": "line_comment block_comment",
        "classes": "impl_item trait_item",
        "unprobed": "function_item use_declaration struct_item enum_item impl_item trait_item "
        "mod_item const_item static_item type_item attribute_item inner_attribute_item "
        "macro_definition extern_crate_declaration empty_statement",
    },
    "php": _C_LIKE | {
        "functions": "function_definition method_declaration anonymous_function "
        "anonymous_function_creation_expression arrow_function",
        "elifs": "else_if_clause", "cases": "case_statement default_statement",
        "defaults": "default_statement", "leaves": "return_statement throw_expression",
        "classes": "class_declaration trait_declaration interface_declaration",
        "unprobed": "php_tag text text_interpolation function_definition class_declaration "
        "interface_declaration trait_declaration namespace_definition namespace_use_declaration "
        "declare_statement const_declaration enum_declaration",
    },
    "csharp": _C_LIKE | {
        "functions": "method_declaration constructor_declaration local_function_statement "
        "lambda_expression accessor_declaration anonymous_method_expression operator_declaration",
        "cases": "switch_section switch_expression_arm", "falls_through": False,
        "classes": "class_declaration struct_declaration record_declaration interface_declaration",
        "unprobed": "local_function_statement using_directive class_declaration "
        "namespace_declaration struct_declaration interface_declaration enum_declaration "
        "empty_statement delegate_declaration global_attribute",
    },
    "r": {
        "functions": "function", "containers": "program block", "wrappers": "",
        "ifs": "if_statement", "loops": "for_statement while_statement",
        "breaks": "break_statement", "continues": "next_statement", "leaves": "leave_call",
        "short_circuits": frozenset({"&&", "||"}),
    },
    "bash": {
        "functions": "function_definition",
        "containers": "program compound_statement do_group else_clause subshell",
        "ifs": "if_statement", "elifs": "elif_clause",
        "loops": "for_statement c_style_for_statement while_statement",
        "switches": "case_statement", "cases": "case_item", "unprobed": "function_definition",
    },
    "ruby": {
        "functions": "method singleton_method",
        "containers": "program body_statement then do else ensure begin_block block_body",
        "wrappers": "", "ifs": "if unless if_modifier unless_modifier", "elifs": "elsif",
        "elses": "else", "loops": "while until for while_modifier until_modifier",
        "switches": "case case_match", "cases": "when in_clause", "defaults": "else",
        "tries": "begin", "catches": "rescue", "finals": "ensure", "breaks": "break",
        "continues": "next redo", "leaves": "return", "ternaries": "conditional",
        "classes": "class module",
    },
    "perl": {
        "functions": "subroutine_declaration_statement anonymous_subroutine_expression "
        "method_declaration_statement",
        "containers": "source_file block else",
        "ifs": "conditional_statement postfix_conditional_expression", "elifs": "elsif",
        "elses": "else",
        "loops": "for_statement cstyle_for_statement loop_statement postfix_loop_expression "
        "postfix_for_expression",
        "breaks": "loopex_expression", "leaves": "return_expression",
        "ternaries": "conditional_expression", "comments": "comment pod",
        "short_circuits": frozenset({"&&", "||", "and", "or", "//"}),
        "unprobed": "subroutine_declaration_statement package_statement use_statement",
    },
    "lua": {
        "functions": "function_declaration function_definition",
        "containers": "chunk block else_statement", "ifs": "if_statement",
        "elifs": "elseif_statement", "elses": "else_statement",
        "loops": "for_statement while_statement", "dos": "repeat_statement",
        "breaks": "break_statement", "leaves": "return_statement",
        "unprobed": "function_declaration",
    },
}  # fmt: skip
