#!/usr/bin/env python3
"""Writes the order in which SymPy lists a symmetric or alternating group, as `element_order` of the task `group`.

  sympy_order.py S5 > order_S5.txt     one permutation a line, in one-line notation, counted from 0
  sympy_order.py --check DIRECTORY     compares with the files sympy_order_<GROUP>.txt there (by default those in
                                       $TOYSWEEP_REFERENCE) and says whether they are the same

The published runs on S_n and A_n numbered their elements in this order.
"""

import argparse
import os
import pathlib
import re
import sys

from needs import need

MOST_DEGREE = 6  # S7 and A7 have more than 1024 elements


def elements(name):
    """The group's elements in SymPy's order, each the list of its images."""
    from sympy.combinatorics import Permutation, PermutationGroup
    from sympy.combinatorics.named_groups import AlternatingGroup, SymmetricGroup

    match = re.fullmatch(r"([SA])([1-9]\d*)", name)
    if not match:
        sys.exit(f"sympy_order.py: '{name}' is not S<n> or A<n>; only these have elements to order")
    family, degree = match[1], int(match[2])
    if degree > MOST_DEGREE:
        sys.exit(f"sympy_order.py: {name} has more than 1024 elements, the most that a table takes")
    if family == "S":
        group = SymmetricGroup(degree)
    elif degree == 5:  # the generators of the published runs
        group = PermutationGroup(Permutation(0, 1, 2, 3, 4), Permutation(1, 2)(3, 4))
    else:
        group = AlternatingGroup(degree)
    images = (element.array_form for element in group.generate(method="coset"))
    return [image + list(range(len(image), degree)) for image in images]  # SymPy's A1 and A2 move nothing at all


def listing(name):
    return "".join(" ".join(map(str, image)) + "\n" for image in elements(name))


def check(directory):
    paths = sorted(pathlib.Path(directory).glob("sympy_order_*.txt"))
    if not paths:
        sys.exit(f"sympy_order.py: {directory} has no files sympy_order_<GROUP>.txt")
    different = 0
    for path in paths:
        name = path.stem.removeprefix("sympy_order_")
        same = listing(name).split() == path.read_text().split()
        different += not same
        print(f"{name}: {'the same' if same else 'differs'}")
    sys.exit(1 if different else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group", nargs="?", help="S<n> or A<n>")
    parser.add_argument("--check", nargs="?", const=os.environ.get("TOYSWEEP_REFERENCE", ""), metavar="DIRECTORY",
                        help="compare with the files in a directory")
    arguments = parser.parse_args()
    if (arguments.group is None) == (arguments.check is None):
        parser.error("give a group, or --check")
    if arguments.check == "":
        parser.error("--check needs a directory, or TOYSWEEP_REFERENCE")
    need("sympy")
    if arguments.check is not None:
        check(arguments.check)
    sys.stdout.write(listing(arguments.group))


if __name__ == "__main__":
    main()
