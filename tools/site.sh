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
# shellcheck source=tools/python.sh
source tools/python.sh
find_python h5py numpy

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

contents() { # SWEEP...: every dataset of the files, of one case each
    printf '# What is in a file\n\n'
    printf 'Read from the results files of sweeps that come with the program, by the names, types, dimensions '
    printf 'and attributes that these give. What each is, and what other sweeps add: [results-file.md](results-file.md), '
    printf '[measures.md](measures.md).\n'
    "$PYTHON" - "${@/%/.h5}" <<'END'
import sys
sys.path.insert(0, "tools")
import h5py, toysweep

def table(file, group):
    print("\n| dataset | type | along | |\n|---|---|---|---|")
    for name in toysweep.links(group):
        item = group[name]
        if isinstance(item, h5py.Dataset):
            of = toysweep.dimensions(item)
            along = "scale" if h5py.h5ds.is_scale(item.id) else " x ".join(of)
            kind = "text" if item.dtype.kind in "OS" else item.dtype.name
            said = ", ".join(toysweep.text(item.attrs[key]) for key in ("long_name", "units") if key in item.attrs)
            print(f"| `{name}` | {kind} | {along} | {said.replace('|', chr(92) + '|')} |")

for path in sys.argv[1:]:
    with toysweep.open_file("build/site/" + path) as file:
        case = toysweep.links(file["cases"])[0]
        print(f"\n## {path}\n\nAttributes: " + ", ".join(f"`{name}`" for name in file.attrs) + ".")
        for place in ("/", "/sweep", f"/cases/{case}", f"/cases/{case}/weights"):
            if place in file:
                print(f"\n### {place}")
                table(file, file[place])
END
}

errors() { # every message of the program's source, with the exit code that goes with it; ... is what it fills in
    # shellcheck disable=SC2016 # no expression
    printf '# Errors\n\nWhat the program says when it cannot do what was asked, out of its source: `...` is a name, a number '
    printf 'or what the system says. What happens to a run: [faults.md](faults.md).\n'
    "$PYTHON" - <<'END'
import glob, re
CALL = re.compile(r'ts_(fail|fail_errno|faults_add)\(((?:[^"();]|\([^()"]*\))*)((?:"(?:[^"\\]|\\.)*"\s*)+)', re.S)
found = {"USER": set(), "UNIT": set(), "MEMORY": set(), "FATAL": set()}
for path in glob.glob("src/**/*.c", recursive=True):
    with open(path, encoding="utf-8") as file:
        for name, before, literals in CALL.findall(file.read()):
            words = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).replace('\\"', '"').replace("\\\\", "\\")
            if name == "faults_add":  # its first text may be the key
                kind, words = "USER", words
            else:
                kind = (re.findall("TS_ERROR_([A-Z]+)", before) or [""])[0]
            words = re.sub(r"%[-+ #0.*\d]*(?:z|ll|l|h)?[a-zA-Z]", "...", words).replace("%%", "%")
            if kind in found and len(re.findall("[a-z]{2,}", words)) > 2:
                found[kind].add(words)
for kind, title in (("USER", "Bad usage or sweep file: exit code 2, nothing was written"),
                    ("FATAL", "The run cannot go on: exit code 1"),
                    ("UNIT", "One instance cannot be trained: it is marked failed, the others go on; exit code 3"),
                    ("MEMORY", "Out of memory: fewer instances at once are tried, where there are several")):
    print(f"\n## {title}\n\n```text")
    print(*sorted(found[kind], key=lambda words: re.sub("^[^a-z]+", "", words)), sep="\n")
    print("```")
END
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
contents "${sweeps[@]}" >"$pages/file.md"
errors >"$pages/errors.md"
mkdocs build --quiet --strict
echo "build/site/html/index.html"
