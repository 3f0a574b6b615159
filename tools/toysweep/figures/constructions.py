"""Multiplication tables of the groups that are built by construction, with the program's elements in its order
(docs/workloads.md, "The tasks"): dicyclic groups, C<n>:C<m>, and groups of 2 x 2 matrices over prime fields.
"""

import itertools

import numpy as np


def dicyclic(n):
    """Element r + 2n s is x^r y^s; x^2n = 1, y^2 = x^n, y x = x^-1 y."""
    r, s = np.arange(4 * n) % (2 * n), np.arange(4 * n) // (2 * n)
    turned = r[:, None] + np.where(s[:, None], -r, r) + n * (s[:, None] & s)
    return turned % (2 * n) + 2 * n * (s[:, None] ^ s)


def semidirect(n, m):
    """Element r + n s is x^r y^s; x^n = y^m = 1, y x = x^k y with the least k that is of order m modulo n."""
    k = next(k for k in range(n) if order_modulo(k, n) == m)
    r, s = np.arange(n * m) % n, np.arange(n * m) // n
    power = np.array([pow(k, int(i), n) for i in s])
    return (r[:, None] + power[:, None] * r) % n + n * ((s[:, None] + s) % m)


def order_modulo(k, n):
    """The least m > 0 for which k^m is 1 modulo n; None if there is none."""
    return next((m for m in range(1, n + 1) if pow(k, m, n) == 1 % n), None)


def matrix_group(family, q):
    """SL, GL, PSL or PGL of 2 x 2 matrices modulo q, by their entries a b c d; of those that are one element of a
    projective group the first."""
    entries = np.array(list(itertools.product(range(q), repeat=4)))
    codes = np.arange(q ** 4)
    determinant = (entries[:, 0] * entries[:, 3] - entries[:, 1] * entries[:, 2]) % q
    special = family.endswith("SL")
    scalars = [c for c in range(1, q) if not special or c * c % q == 1] if family[0] == "P" else [1]
    first = np.min([code_of(c * entries % q, q) for c in scalars], axis=0)  # of the multiples
    elements = codes[(determinant == 1 if special else determinant != 0) & (first == codes)]
    matrices = entries[elements].reshape(-1, 2, 2)
    products = np.einsum("xij,yjk->xyik", matrices, matrices).reshape(len(elements), len(elements), 4) % q
    return np.searchsorted(elements, first[code_of(products, q)])


def code_of(entries, q):
    return entries @ q ** np.arange(3, -1, -1)
