#!/usr/bin/env bash
# slurm/sweep.sh, tried with stand-ins for srun, mpirun, scontrol, squeue and toysweep that write down how they were
# called, and with the program itself, if $TOYSWEEP says where it is, for the names of sweeps. Prints a line for each
# promise; fails if one is broken.
# shellcheck disable=SC2016 # the stand-ins are to expand, not this script
set -euo pipefail

script=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/slurm/sweep.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/sweep script.XXXXXX") # with a space: paths with spaces must work
trap 'rm -rf "$work"' EXIT
failed=0
real=${TOYSWEEP:-}
unset TOYSWEEP TOYSWEEP_LAUNCHER TOYSWEEP_MAX_RESTARTS TOYSWEEP_SITE XDG_CONFIG_HOME

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
if [[ $2 == --print-names ]]; then
    [[ $3 != missing.yaml ]] || { echo "cannot open missing.yaml" >&2; exit 2; }
    printf 'my trees\nmy trees.h5\n'
    exit
fi
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
    (cd "$work" && FAKE=$work HOME=$work PATH="$work/bin:$PATH" SLURM_JOB_ID=42 SLURM_NTASKS=2 \
        bash "$script" "$@" >>"$work/${log:-output}" 2>&1) || code=$?
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
expect "arguments go to run" "run sweep.yaml --set seed=1..4" \
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
expect "mpirun gets a time limit, before the arguments" "run --time-limit sweep.yaml" \
    "$(grep -v '^[0-9]*s$' "$work/arguments" | paste -sd' ')"

fresh 0
TOYSWEEP_LAUNCHER=mpirun sweep sweep.yaml
expect "mpirun can be asked for" "mpirun -n 2" "$(cat "$work/launch.log")"
expect "a job without a time limit gets none" "run sweep.yaml" "$(paste -sd' ' "$work/arguments")"

if [[ -n $real ]]; then
    with_launcher() { # toysweep-mpirun beside the program; what it starts is called as before
        ln -s "$(dirname "$real")/toysweep-mpirun" "$work/bin/toysweep-mpirun"
    }
    fresh 75
    with_launcher
    stand_in mpirun <<<'echo "mpirun $1 $2" >>"$FAKE/launch.log"; echo "$TOYSWEEP_END_FILE" >"$FAKE/end-file"; exit 205'
    TOYSWEEP_LAUNCHER=mpirun sweep sweep.yaml
    expect "mpirun is started by toysweep-mpirun, if it is there" "mpirun -n 2 yes" \
        "$(cat "$work/launch.log") $([[ -s $work/end-file ]] && echo yes || echo no)"
    expect "an mpirun that has lost a host requeues the job" "75 requeue 42" "$code $(cat "$work/scontrol.log" 2>&1)"
    fresh 75
    with_launcher
    sweep sweep.yaml
    expect "so is srun" "srun --mpi=pmix 75" "$(head -1 "$work/launch.log") $code"
fi

fresh 0
date -d "2 hours" +%Y-%m-%dT%H:%M:%S >"$work/end"
TOYSWEEP_LAUNCHER=mpirun sweep sweep.yaml
expect "an older Slurm is asked when the job ends" 1 "$(grep -Ec '^6[89][0-9][0-9]s$' "$work/arguments")"

fresh 0
: >"$work/end"
TOYSWEEP_LAUNCHER=mpirun sweep sweep.yaml
expect "one that does not answer gives no time limit" "run sweep.yaml" "$(paste -sd' ' "$work/arguments")"

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

for signal in USR1 USR2 XCPU TERM; do
    fresh 0
    touch "$work/wait-for-signal"
    (cd "$work" && FAKE=$work PATH="$work/bin:$PATH" SLURM_JOB_ID=42 SLURM_NTASKS=2 \
        exec bash "$script" sweep.yaml >>"$work/output" 2>&1) &
    job=$!
    for _ in $(seq 6000); do [[ -e $work/started ]] && break; sleep 0.05; done
    began=$SECONDS
    kill "-$signal" "$job"
    code=0
    wait "$job" || code=$?
    expect "$signal asks the program to stop" USR2 "$(sort -u "$work/signals" 2>&1)"
    most=$((1 + (SECONDS - began) / 2)) times=$(lines "$work/signals")
    expect "$signal: once, and again every 2 s" yes "$([[ $times -le $most ]] && echo yes)"
    expect "$signal: its exit code 75 is waited for and requeues" "75 requeue 42" "$code $(cat "$work/scontrol.log" 2>&1)"
done

fresh 75
TOYSWEEP="bash -- '$work/bin/toysweep'" sweep sweep.yaml --set 'where=a b $(touch hit) `touch hit`'
expect "the program may be a command, with a shell's quotes" "75 requeue 42" "$code $(cat "$work/scontrol.log" 2>&1)"
expect "arguments are taken as they are" "run sweep.yaml --set where=a b \$(touch hit) \`touch hit\`" \
    "$(paste -sd' ' "$work/arguments")"
expect "nothing of them is run" no "$([[ -e $work/hit ]] && echo yes || echo no)"
mkdir "$work/with blanks"
cp "$work/bin/toysweep" "$work/with blanks/toysweep"
TOYSWEEP="$work/with blanks/toysweep" sweep sweep.yaml
expect "a program's path may have blanks" 75 "$code"
for command in "no-such-command run" "'unfinished" " "; do
    TOYSWEEP=$command sweep sweep.yaml
    expect "a program that is not there ($command) is a usage error" "2 1" "$code $(tail -n 1 "$work/output" | grep -c TOYSWEEP:)"
done
for command in "nice 'x" 'nice "x' "bash -- '$work/bin/toysweep"; do
    TOYSWEEP=$command sweep sweep.yaml
    expect "a quotation mark that is not closed ($command) is a usage error" \
        "2 sweep.sh: TOYSWEEP: a quotation mark is not closed: $command" "$code $(tail -n 1 "$work/output")"
done

fresh 0
mkdir -p "$work/.config/toysweep"
printf 'module() { export LOADED="$LOADED_BEFORE $*"; }; module load openmpi; TOYSWEEP_LAUNCHER=mpirun; false\n' \
    >"$work/.config/toysweep/slurm.sh"
stand_in mpirun <<<'echo "mpirun with$LOADED" >>"$FAKE/launch.log"; shift 2; exec "$@"'
sweep sweep.yaml
expect "the site's settings are sourced, if they are there" "0 mpirun with load openmpi" "$code $(cat "$work/launch.log")"
echo 'TOYSWEEP_LAUNCHER=srun' >"$work/own settings.sh"
TOYSWEEP_SITE="$work/own settings.sh" sweep sweep.yaml
expect "TOYSWEEP_SITE names another file" "0 srun --mpi=pmix" "$code $(sed -n 2p "$work/launch.log")"
TOYSWEEP_SITE=nowhere.sh sweep sweep.yaml
expect "which must be there" 2 "$code"

fresh 75
SLURM_ARRAY_JOB_ID=42 SLURM_ARRAY_TASK_ID=7 sweep sweep.yaml --set seed=%a -o "part %a-%a.h5"
expect "%a is the number of an array's task" "run sweep.yaml --set seed=7 -o part 7-7.h5" "$(paste -sd' ' "$work/arguments")"
expect "only that task is requeued, not its array" "requeue 42_7" "$(cat "$work/scontrol.log" 2>&1)"
sweep sweep.yaml -o part-%a.h5
expect "elsewhere %a is as good a name as any" "run sweep.yaml -o part-%a.h5" "$(paste -sd' ' "$work/arguments")"

fresh 3
echo "slurmd: from Slurm" >"$work/toysweep-42.log"
log=toysweep-42.log sweep sweep.yaml
expect "the log is named after the sweep" "my trees-42.log" "$(cd "$work" && echo *-42.log)"
echo "slurmd: restarted" >"$work/toysweep-42.log"
TOYSWEEP_SITE=/nowhere log=toysweep-42.log sweep sweep.yaml # fails before the log has its name
log=toysweep-42.log sweep sweep.yaml
expect "and goes on after a restart" "1 1 1" "$(for words in 'from Slurm' restarted 'no file'; do
    grep -c "$words" "$work/my trees-42.log"; done | paste -sd' ')"
log=chosen-42.log sweep sweep.yaml
expect "a name of one's own is kept" "chosen-42.log my trees-42.log" "$(cd "$work" && echo *-42.log)"

# Warnings at every moment from the start on: none may end the script (bash runs a trap in the middle of anything).
mkfifo "$work/pause"
exec 9<>"$work/pause"
pause() { read -rt 0.001 -u 9 _ || true; }
hammer() { # LAUNCHER [toysweep-mpirun]: prints the script's exit code
    fresh 0
    [[ -z ${2:-} ]] || with_launcher
    touch "$work/wait-for-signal"
    echo 'touch "$FAKE/trapping"' >"$work/site" # read once the traps are set
    (cd "$work" && FAKE=$work TOYSWEEP_SITE=site PATH="$work/bin:$PATH" SLURM_JOB_ID=42 TOYSWEEP_LAUNCHER=$1 \
        exec bash "$script" sweep.yaml >>"$work/output" 2>&1) &
    local pid=$! hammered=0
    until [[ -e $work/trapping ]]; do pause; done
    while kill -USR2 "$pid" 2>/dev/null; do pause; done
    wait "$pid" || hammered=$?
    echo "$hammered"
}
for launcher in srun mpirun ${real:+"srun toysweep-mpirun" "mpirun toysweep-mpirun"}; do
    read -ra words <<<"$launcher"
    rounds=$((${#words[@]} == 1 ? 8 : 3))
    outcome=$(for ((i = 0; i < rounds; i++)); do hammer "${words[@]}"; done | sort | uniq -c | xargs)
    expect "warnings at every moment, with $launcher: back into the queue each time" "$rounds 75" "$outcome"
done
exec 9>&-

# The name that the script goes by is the one that the program uses, however the sweep is written and called.
if [[ -n $real ]]; then
    plain=$'task: tree\ndepth: 1\nhidden: 2\nsteps: 10\n'
    number=0
    try_name() { # FILE RESULTS TEXT [ARGUMENT...]
        local file=$1 results=$2 text=$3
        shift 3
        number=$((number + 1))
        fresh 75
        printf '%s' "$text" >"$work/$file"
        TOYSWEEP=$real TOYSWEEP_MAX_RESTARTS=9 sweep "$@" --time-limit 1e-6s --threads 1 -- "$file"
        expect "name $number: an unfinished sweep is requeued" "75 requeue 42" "$code $(cat "$work/scontrol.log" 2>&1)"
        expect "name $number: its memory is beside the results" 2 "$(lines "$work/$results.requeue")"
        (cd "$work" && "$real" run "$@" --threads 1 --progress none -- "$file" >/dev/null)
        TOYSWEEP=$real sweep "$@" --threads 1 -- "$file"
        expect "name $number: script and program mean one file" "0 $results" \
            "$code $(cd "$work" && find . -name '*.h5' | sed 's/^..//')"
        expect "name $number: the memory is gone" 0 "$(find "$work" -name '*.requeue' | wc -l)"
    }
    try_name bom.yaml inner-name.h5 $'\xef\xbb\xbfname: inner-name\n'"$plain"
    try_name flow.yaml jsonname.h5 '{"name": "jsonname", "task": "tree", "depth": 1, "hidden": 2, "steps": 10}'
    try_name quote.yaml "it's.h5" "name: \"it's\""$'\n'"$plain"
    try_name "a 'sweep' \"of\" \$x" "a 'sweep' \"of\" \$x.h5" "$plain"
    try_name -dash.yaml -dash.h5 "$plain"
    try_name set.yaml over.h5 $'name: under\n'"$plain" --set name=over
    try_name own.yaml "own name.h5" "$plain" -o"own name.h5"
fi

fresh 0
sweep
expect "no arguments are a usage error" 2 "$code"
sweep missing.yaml
expect "a missing sweep file is a usage error" 2 "$code"

((failed == 0))
