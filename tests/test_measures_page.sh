#!/bin/sh
# docs/measures.md is what `toysweep help measures` prints, and the sections that it names are there.
#     test_measures_page.sh PROGRAM SOURCE [--write]
set -eu
page=$2/docs/measures.md
made=$(mktemp)
trap 'rm -f "$made"' EXIT
{
    cat << 'END'
# Measures

What `toysweep help measures` prints; formulas are in [workloads.md](workloads.md). This page is made by
`tests/test_measures_page.sh build/release/toysweep . --write`.

```
END
    "$1" help measures
    echo '```'
} > "$made"
if [ "${3:-}" = --write ]; then
    cp "$made" "$page"
fi
diff -u "$page" "$made"
tr '\n' ' ' < "$made" | grep -o 'workloads.md, "[^"]*"' | sort -u | cut -d'"' -f2 | while read -r heading; do
    grep -qxF "## $heading" "$2/docs/workloads.md" || { echo "docs/workloads.md has no section '$heading'"; exit 1; }
done
