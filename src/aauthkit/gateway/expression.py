"""A policy rule as Envoy evaluates it: compiles to the parsed form RBAC's ``condition`` takes; never evaluates.

Rules speak of ``extauthz``; Envoy has the same values as ``metadata.filter_metadata["envoy.filters.http.ext_authz"]``.
The rule's tree, compiled against ``extauthz`` and nothing else, gets that expression wherever the name stands: text is
never pasted together, so a rule can reach nothing else Envoy knows. Envoy refuses comprehensions, so a rule that has
one is refused here, with words.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, json_format

from aauthkit.authz.wire import declare
from aauthkit.errors import ConfigurationError
from aauthkit.resource.policy import VARIABLE, Rule

NAMESPACE = "envoy.filters.http.ext_authz"

# cel/expr/syntax.proto and checked.proto. google.api.expr.v1alpha1, which RBAC names, has the same numbers.
_MESSAGES = declare(
    "aauthkit.cel",
    {
        "CheckedExpr": {"expr": (4, "Expr")},
        "Expr": {
            "id": (2, "int64"),
            "const_expr": (3, "oneof Constant"),
            "ident_expr": (4, "oneof Ident"),
            "select_expr": (5, "oneof Select"),
            "call_expr": (6, "oneof Call"),
            "list_expr": (7, "oneof CreateList"),
            "struct_expr": (8, "oneof CreateStruct"),
            "comprehension_expr": (9, "oneof Comprehension"),
        },
        "Ident": {"name": (1, "string")},
        "Select": {"operand": (1, "Expr"), "field": (2, "string"), "test_only": (3, "bool")},
        "Call": {"target": (1, "Expr"), "function": (2, "string"), "args": (3, "repeated Expr")},
        "CreateList": {"elements": (1, "repeated Expr")},
        "CreateStruct": {"message_name": (1, "string"), "entries": (2, "repeated Entry")},
        "Entry": {
            "id": (1, "int64"),
            "field_key": (2, "oneof string"),
            "map_key": (3, "oneof Expr"),
            "value": (4, "Expr"),
        },
        "Comprehension": {"iter_var": (1, "string")},
        "Constant": {
            "null_value": (1, "oneof .google.protobuf.NullValue"),
            "bool_value": (2, "oneof bool"),
            "int64_value": (3, "oneof int64"),
            "uint64_value": (4, "oneof uint64"),
            "double_value": (5, "oneof double"),
            "string_value": (6, "oneof string"),
            "bytes_value": (7, "oneof bytes"),
        },
    },
)


def envoy_condition(rule: Rule) -> dict[str, Any]:
    """The JSON of ``google.api.expr.v1alpha1.Expr`` for one rule.

    Raises ``ConfigurationError`` for a rule with a macro such as ``exists``: Envoy evaluates none.
    """
    packed = any_pb2.Any.FromString(rule.checked())
    expression = _MESSAGES["CheckedExpr"].FromString(packed.value).expr
    tree: dict[str, Any] = json_format.MessageToDict(expression, preserving_proto_field_name=True)
    rewritten: dict[str, Any] = _Rewriter(rule.text).rewrite(tree)
    return rewritten


class _Rewriter:
    """Puts Envoy's expression where the rule says ``extauthz``; new nodes get ids above all of the compiler's."""

    def __init__(self, text: str) -> None:
        self._text = text
        # The compiler numbers nodes by position: a rule never has more of them than four a character.
        self._last_id = 4 * len(text) + 1000

    def rewrite(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.rewrite(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "comprehension_expr" in node:
            raise ConfigurationError(
                f"Envoy evaluates no macros (exists, all, filter, map); write the rule without them: {self._text}"
            )
        if node.get("ident_expr") == {"name": VARIABLE}:
            return self._metadata()
        return {key: self.rewrite(value) for key, value in node.items()}

    def _metadata(self) -> dict[str, Any]:
        """``metadata.filter_metadata["envoy.filters.http.ext_authz"]``"""
        metadata = self._node(ident_expr={"name": "metadata"})
        filter_metadata = self._node(select_expr={"operand": metadata, "field": "filter_metadata"})
        namespace = self._node(const_expr={"string_value": NAMESPACE})
        return self._node(call_expr={"function": "_[_]", "args": [filter_metadata, namespace]})

    def _node(self, **kind: Any) -> dict[str, Any]:
        self._last_id += 1
        return {"id": str(self._last_id), **kind}
