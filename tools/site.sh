#!/usr/bin/env bash
# Builds the documentation's site into build/site/html, without a network: the pages of docs/, and what the program says
# of its keys, commands and errors, what is in the files of two quick sweeps, and a gallery of figures drawn from them.
#   tools/site.sh             with build/release/toysweep
#   tools/site.sh --quick     of one of the sweeps only
# Needs mkdocs with the material theme (Debian: mkdocs mkdocs-material). A link that leads nowhere is an error.
set -euo pipefail

case "${1:-}" in
"") sweeps=(quickstart group-quick) ;;
--quick) sweeps=(quickstart) ;;
*)
    sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}"
    [[ $1 == --help ]] && exit 0
    exit 2
    ;;
esac
program=build/release/toysweep
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pages=build/site/pages

verbatim() { # TITLE COMMAND...: a page of what the command prints
    printf '# %s\n\n```text\n' "$1"
    "${@:2}"
    printf '```\n'
}

commands() {
    local name
    printf '# Commands and exit codes\n\n```text\n'
    "$program" --help
    printf '```\n'
    for name in run plan status measure export merge info; do
        printf '\n## toysweep %s\n\n```text\n' "$name"
        "$program" "$name" --help
        printf '```\n'
    done
}

gallery() { # SWEEP...: draws what each gives
    local sweep picture
    printf '# Gallery\n\nAll figures that tools/plot.py draws of these sweeps, as they come from it.\n'
    for sweep; do
        [[ -f build/site/$sweep.h5 ]] || "$program" run "sweeps/$sweep.yaml" -o "build/site/$sweep.h5" >&2
        tools/plot.py "build/site/$sweep.h5" -o "$pages/gallery/$sweep" >&2
        printf '\n## sweeps/%s.yaml\n' "$sweep"
        for picture in "$pages/gallery/$sweep"/*.png; do
            picture=$(basename "$picture")
            printf '\n![%s](gallery/%s/%s)\n' "$(sed 's/^[0-9]*-//; s/\.png$//; s/-/ /g' <<<"$picture")" "$sweep" "$picture"
        done
    done
}

rm -rf "$pages"
mkdir -p "$pages"
cp -r docs/. "$pages"
sed 's|](docs/|](|g' CHANGELOG.md >"$pages/changes.md"
sed -i 's|](\.\./README\.md)|](index.md)|g' "$pages"/*.md
verbatim "Keys of a sweep file" "$program" help keys >"$pages/keys.md"
commands >"$pages/commands.md"
gallery "${sweeps[@]}" >"$pages/gallery.md"
files=("${sweeps[@]/#/build/site/}")
tools/site_pages.py contents "${files[@]/%/.h5}" >"$pages/file.md"
tools/site_pages.py errors >"$pages/errors.md"
mkdocs build --quiet --strict
echo "build/site/html/index.html"
