"""What a module of Python does, as a digest: a statement changes it, a comment or a docstring does not."""

import ast
import hashlib
import json
from collections.abc import Iterator


def syntax_fingerprint(source: bytes | str) -> str:
    """Sha256 of a module's syntax tree, without its docstrings and where things stand in the file.

    The same with every version of Python that the platform runs on.

    >>> syntax_fingerprint("x = 1  # one") == syntax_fingerprint('"Words."\\nx = 1')
    True
    """
    digest = hashlib.sha256()
    # as a flat list, since a chain of calls is as deep as it is long
    for node in _nodes(ast.parse(source)):
        digest.update(json.dumps(node).encode())
    return digest.hexdigest()


def _nodes(tree: ast.AST) -> Iterator[list[object]]:
    """Each node's kind and fields, from the root down; a field that holds nodes says how many, and they follow."""
    waiting: list[ast.AST] = [tree]
    for node in waiting:
        told: list[object] = [type(node).__name__]
        for name, content in ast.iter_fields(node):
            # the marks u of old strings and of types in comments mean nothing
            if content is None or content == [] or name in ("kind", "type_comment", "type_ignores"):
                continue
            children = _children(node, content)
            if children is None:
                told.append([name, ascii(content)])
            elif children:
                told.append([name, len(children)])
                waiting += children
        yield told


def _children(parent: ast.AST, content: object) -> list[ast.AST] | None:
    if isinstance(content, ast.AST):
        return [content]
    if not isinstance(content, list):
        return None
    nodes = [node for node in content if isinstance(node, ast.AST)]
    if len(nodes) < len(content):  # names, or the absent keys and defaults of a literal or a function
        # nothing is not the constant None: a default that is absent is another one than None
        return [node if isinstance(node, ast.AST) else ast.Name(node) if node else ast.Pass() for node in content]
    return [node for node in nodes if not (_is_words(node) or (isinstance(parent, ast.JoinedStr) and _is_empty(node)))]


def _is_words(node: ast.AST) -> bool:
    """A statement that is nothing but a string: a docstring, of whatever it stands below."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_empty(node: ast.AST) -> bool:
    """A part of a formatted string that some versions of Python put where there is no text."""
    return isinstance(node, ast.Constant) and node.value == ""
