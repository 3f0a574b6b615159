#!/usr/bin/env bash
# slurm/sweep.sh, tried with stand-ins for srun, mpirun, scontrol, squeue and toysweep that write down how they were
# called. Prints a line for each promise; fails if one is broken.
# shellcheck disable=SC2016 # the stand-ins are to expand, not this script
set -euo pipefail

script=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/slurm/sweep.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/sweep script.XXXXXX") # with a space: paths with spaces must work
trap 'rm -rf "$work"' EXIT
failed=0
unset TOYSWEEP TOYSWEEP_LAUNCHER TOYSWEEP_MAX_RESTARTS

stand_in() { # NAME, body on standard input
    { echo '#!/usr/bin/env bash'; cat; } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

fresh() { # a new folder with stand-ins; toysweep exits with $1
    rm -rf "${work:?}"/*
    mkdir "$work/bin"
    echo "${1:-0}" >"$work/exit-code"
    echo 0 >"$work/done"
    echo RUNNING >"$work/state"
    echo NONE >"$work/end"
    printf 'task: tree\nname: "my trees"  # a comment\n' >"$work/sweep.yaml"
    stand_in scontrol <<<'echo "$*" >>"$FAKE/scontrol.log"'
    stand_in squeue <<<'if [[ $* == *%e* ]]; then cat "$FAKE/end"; else cat "$FAKE/state"; fi'
    stand_in mpirun <<<'echo "mpirun $1 $2" >>"$FAKE/launch.log"; shift 2; exec "$@"'
    stand_in srun <<'BODY'
if [[ $1 == --mpi=list ]]; then echo "MPI plugin types are..."; cat "$FAKE/plugins"; exit; fi
while [[ $1 == --* ]]; do echo "srun $1" >>"$FAKE/launch.log"; shift; done
exec "$@"
BODY
    stand_in toysweep <<'BODY'
if [[ $1 == status ]]; then echo "{\"instances\": 9, \"done\": $(cat "$FAKE/done"), \"failed\": 0}"; exit; fi
printf '%s\n' "$@" >"$FAKE/arguments"
if [[ -e $FAKE/wait-for-signal ]]; then
    trap 'echo USR2 >>"$FAKE/signals"; sleep 0.3; exit 75' USR2
    trap 'echo TERM >>"$FAKE/signals"; exit 143' TERM
    touch "$FAKE/started"
    for _ in $(seq 6000); do sleep 0.05; done
fi
exit "$(cat "$FAKE/exit-code")"
BODY
    echo pmix >"$work/plugins"
}

sweep() { # ARGUMENT...: runs the script as a job; `code` is what it exits with
    code=0
    (cd "$work" && FAKE=$work PATH="$work/bin:$PATH" SLURM_JOB_ID=42 SLURM_NTASKS=2 \
        bash "$script" "$@" >>"$work/output" 2>&1) || code=$?
}

lines() { # FILE: how many lines it has
    if [[ -f $1 ]]; then wc -l <"$1"; else echo 0; fi
}

expect() { # PROMISE EXPECTED FOUND
    if [[ $2 == "$3" ]]; then
        echo "ok - $1"
    else
        echo "not ok - $1: expected '$2', found '$3'"
        sed 's/^/    /' "$work/output" || true
        failed=$((failed + 1))
    fi
}

fresh 0
sweep sweep.yaml --set "seed=1..4"
expect "exit code 0 is passed on" 0 "$code"
expect "arguments go to run, with the default results file" "run sweep.yaml --set seed=1..4 -o my trees.h5" \
    "$(paste -sd' ' "$work/arguments")"
expect "srun is started with pmix" "srun --mpi=pmix srun --kill-on-bad-exit=1" "$(head -2 "$work/launch.log" | paste -sd' ')"
expect "a finished sweep is not requeued" 0 "$(lines "$work/scontrol.log")"

fresh 3
sweep sweep.yaml -o other.h5
expect "exit code 3 is passed on" 3 "$code"
expect "a results file of one's own is kept" "run sweep.yaml -o other.h5" "$(paste -sd' ' "$work/arguments")"

fresh 0
echo pmi2 >"$work/plugins"
SLURM_JOB_END_TIME=$(($(date +%s) + 3600)) sweep sweep.yaml
expect "without pmix it is mpirun" "mpirun -n 2" "$(cat "$work/launch.log")"
expect "mpirun gets a time limit" "--time-limit" "$(sed -n 5p "$work/arguments")"

fresh 0
TOYSWEEP_LAUNCHER=mpirun sweep sweep.yaml
expect "mpirun can be asked for" "mpirun -n 2" "$(cat "$work/launch.log")"
expect "a job without a time limit gets none" "" "$(sed -n 5p "$work/arguments")"

fresh 0
date -d "2 hours" +%Y-%m-%dT%H:%M:%S >"$work/end"
TOYSWEEP_LAUNCHER=mpirun sweep sweep.yaml
expect "an older Slurm is asked when the job ends" 1 "$(grep -Ec '^6[89][0-9][0-9]s$' "$work/arguments")"

for early in 140 143; do
    fresh "$early"
    sweep sweep.yaml
    expect "a warning before the program can handle it ($early) requeues the job" "requeue 42" \
        "$(cat "$work/scontrol.log" 2>&1)"
done

fresh 75
sweep sweep.yaml
expect "exit code 75 requeues the job" "requeue 42" "$(cat "$work/scontrol.log" 2>&1)"

fresh 75
for done in 1 2 3 4 5 6; do
    echo "$done" >"$work/done"
    sweep sweep.yaml
done
expect "it goes on while instances get done" 6 "$(lines "$work/scontrol.log")"

fresh 75
mkdir "$work/my trees.h5.state"
for i in 1 2 3 4 5 6; do
    touch -d "2024-01-01 00:00:0$i" "$work/my trees.h5.state/unit-0-0-5.bin"
    sweep sweep.yaml
done
expect "it goes on while states get saved" 6 "$(lines "$work/scontrol.log")"

fresh 75
for _ in 1 2 3 4 5; do sweep sweep.yaml && ((code == 75)) && grep -q "giving up" "$work/output" && break; done
expect "it gives up after 3 requeues without progress" 3 "$(lines "$work/scontrol.log")"
expect "and says so" 1 "$(grep -c 'no progress' "$work/output")"

fresh 75
SLURM_RESTART_COUNT=100 sweep sweep.yaml
expect "it gives up after 100 restarts" 0 "$(lines "$work/scontrol.log")"

fresh 75
echo COMPLETING >"$work/state"
sweep sweep.yaml
expect "a cancelled job stays cancelled" "75 0" "$code $(lines "$work/scontrol.log")"

fresh 75
echo COMPLETING TimeLimit >"$work/state"
sweep sweep.yaml
expect "a job that met its time limit comes back" "requeue 42" "$(cat "$work/scontrol.log" 2>&1)"

for signal in USR2 TERM; do
    fresh 0
    touch "$work/wait-for-signal"
    (cd "$work" && FAKE=$work PATH="$work/bin:$PATH" SLURM_JOB_ID=42 SLURM_NTASKS=2 \
        exec bash "$script" sweep.yaml >>"$work/output" 2>&1) &
    job=$!
    for _ in $(seq 6000); do [[ -e $work/started ]] && break; sleep 0.05; done
    kill "-$signal" "$job"
    code=0
    wait "$job" || code=$?
    expect "$signal asks the program to stop, once" USR2 "$(paste -sd' ' "$work/signals" 2>&1)"
    expect "$signal: its exit code 75 is waited for and requeues" "75 requeue 42" "$code $(cat "$work/scontrol.log" 2>&1)"
done

fresh 0
sweep
expect "no arguments are a usage error" 2 "$code"
sweep missing.yaml
expect "a missing sweep file is a usage error" 2 "$code"

((failed == 0))
