"""What tokens a and b add up to where a table is a sum modulo p: a^m and b^n of powers, u(a) and v(b) of an expression."""

import ast
import functools

import numpy as np


def terms_of(keys):
    """[(values, words), (values, words)] of tokens a and b, (p) each; None: the task is no such sum, for all that its
    keys say. Of an expression that is u(a) + v(b) they are measured as `value_...`."""
    if "m" in keys:
        return [(np.array([pow(x, keys[exponent], keys["p"]) for x in range(keys["p"])]), f"{token}^{keys[exponent]}")
                for token, exponent in ("am", "bn")]
    if "expression" not in keys or keys["nonzero"]:
        return None
    return added(keys["expression"], keys["p"])


def are_tokens(terms):
    """Do tokens stand for themselves?"""
    return all(np.array_equal(values, np.arange(len(values))) for values, _ in terms)


@functools.lru_cache(maxsize=64)
def added(expression, p):
    try:
        column, row = ([value(parsed(expression), *pair, p) for pair in pairs]
                       for pairs in ([(x, 0) for x in range(p)], [(0, x) for x in range(p)]))
    except ValueError:  # some pair is not defined
        return None
    return [((np.array(column) - column[0]) % p, "its part"), (np.array(row), "its part")]


def parsed(expression):
    return ast.parse(expression, mode="eval").body


def value(node, a, b, p):
    """Of an expression as results files have it, modulo p; a ValueError where there is no inverse."""
    if isinstance(node, ast.UnaryOp):
        return -value(node.operand, a, b, p) % p
    if not isinstance(node, ast.BinOp):
        return exact(node, a, b) % p
    left = value(node.left, a, b, p)
    if isinstance(node.op, ast.Pow):
        return pow(left, exact(node.right, a, b), p)
    right = value(node.right, a, b, p)
    if isinstance(node.op, ast.Div):
        right = pow(right, -1, p)
    return {ast.Add: left + right, ast.Sub: left - right}.get(type(node.op), left * right) % p


def exact(node, a, b):
    """Of an exponent, which is a whole number below 2^53."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return {"a": a, "b": b}[node.id]
    if isinstance(node, ast.UnaryOp):
        return -exact(node.operand, a, b)
    left, right = exact(node.left, a, b), exact(node.right, a, b)
    if isinstance(node.op, ast.Pow):
        return left ** right
    return {ast.Add: left + right, ast.Sub: left - right}.get(type(node.op), left * right)
