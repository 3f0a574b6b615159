# shellcheck shell=bash
# Sourced: find_python MODULE... sets PYTHON to a Python 3 that has the modules. Looks at $TOYSWEEP_PYTHON, then at
# /usr/bin/python3 (where Debian's python3-* packages go), then at python3 on the PATH (a venv, conda, a module).
# tools/needs.py does the same for Python tools that are started by hand.

find_python() {
    local candidate missing report=""
    for candidate in "${TOYSWEEP_PYTHON:-}" /usr/bin/python3 python3; do
        if [[ -z $candidate ]] || ! command -v "$candidate" >/dev/null; then
            continue
        fi
        missing=$("$candidate" -c 'import importlib.util as u, sys
print(*(name for name in sys.argv[1:] if u.find_spec(name) is None))' "$@" 2>&1 || true)
        if [[ -z $missing ]]; then
            export PYTHON=$candidate
            return 0
        fi
        report+="  $candidate has no ${missing// /, }"$'\n'
    done
    printf 'No Python 3 with the modules %s was found.\n%s' "$*" "$report" >&2
    echo "Run tools/setup.sh, or set TOYSWEEP_PYTHON to a Python that has them (pip install $*)." >&2
    return 1
}
