#!/usr/bin/env bash
#SBATCH --job-name=toysweep
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=12:00:00
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#
# Trains a sweep on a cluster, through time limits and preemption, until it is finished:
#
#   sbatch slurm/sweep.sh sweeps/groups.yaml                       # a whole node, one rank per socket
#   sbatch --gpus-per-node=4 slurm/sweep.sh sweeps/groups.yaml     # one rank per GPU
#   sbatch --nodes=4 --time=2:00:00 slurm/sweep.sh sweep.yaml -o big.h5 --set seed=1..50
#   sbatch --ntasks=8 --cpus-per-task=4 slurm/sweep.sh ...         # a layout of your own
#
#   sbatch --array=0-9 slurm/sweep.sh sweep.yaml --set seed=%a -o part-%a.h5     # %a: the task's number
#
# Arguments go to `toysweep run`. Five minutes before the time limit Slurm sends USR2; toysweep saves its state and
# exits with 75 ("run again to continue"), and the job puts itself back into the queue while that makes progress. Its
# log is called NAME-JOB.log after the sweep, unless sbatch is given a --job-name or --output.
#
# Environment: TOYSWEEP              the program: a path, or a command, such as "apptainer exec 'my image.sif' toysweep"
#                                    (default: toysweep on the PATH, else build/release/toysweep). toysweep-mpirun,
#                                    which starts it, is looked for beside it, on the PATH and in build/release
#              TOYSWEEP_LAUNCHER     srun or mpirun (default: srun if it offers pmix, else mpirun)
#              TOYSWEEP_MAX_RESTARTS restarts after which the job gives up (default 100)
#              TOYSWEEP_SITE         a file of bash commands to begin with, for what differs from cluster to
#                                    cluster: `module load openmpi hdf5`, the variables above
#                                    (default: ~/.config/toysweep/slurm.sh, if it is there)
# shellcheck disable=SC2317 # functions that only `capture` calls
set -euo pipefail

# As early as can be: what comes before ends the script. Every warning is passed on as USR2, since srun and mpirun would
# kill the ranks at a TERM before they can save their state. And again until they end, because a launcher that is still
# starting its ranks drops it.
child="" signalled=no reminder=""
remind() { while kill -USR2 "$child" 2>/dev/null; do sleep 2; done; }
trap 'signalled=yes; [[ -z $child || -n $reminder ]] || { remind & reminder=$!; }' USR1 USR2 XCPU TERM

readonly EXIT_CONTINUE=75   # toysweep: stopped early, run again to continue
readonly MAX_FRUITLESS=3    # requeues in a row without progress

say() { echo "sweep.sh: $*" >&2; }

die() { # CODE MESSAGE
    say "$2"
    exit "$1"
}

# Puts what a command prints into a variable, and fails as the command does. In backquotes, and for everything that runs
# while signals are trapped: bash 5.2 reads $(...) and <(...) again whenever it comes to them, and a trap that it runs
# just then is an "unexpected EOF" to it, which ends the script.
capture() { # VARIABLE COMMAND [ARGUMENT...]
    local captured
    # shellcheck disable=SC2006 # they are meant
    captured=`"${@:2}"` || return
    printf -v "$1" %s "$captured"
}

# --- What to run ---------------------------------------------------------------------------------------------------
# Modules and the like. They are not written for `set -eu`.
source_site() {
    local file=${TOYSWEEP_SITE:-${XDG_CONFIG_HOME:-${HOME:-}/.config}/toysweep/slurm.sh}
    if [[ -f $file ]]; then
        say "settings from $file"
        set +eu
        # shellcheck source=/dev/null
        source "$file"
        set -eu
    elif [[ -n ${TOYSWEEP_SITE:-} ]]; then
        die 2 "TOYSWEEP_SITE: there is no file '$file'"
    fi
}

# Sets `program`: a command and its first arguments.
find_program() {
    local words build=${SLURM_SUBMIT_DIR:-.}/build/release/toysweep # sbatch runs a copy of this script: $0 says nothing
    if [[ -n ${TOYSWEEP:-} ]] && command -v "$TOYSWEEP" >/dev/null; then
        program=("$TOYSWEEP")
    elif [[ -n ${TOYSWEEP:-} ]]; then # several words; xargs knows a shell's quotes, and expands nothing
        xargs true <<<"$TOYSWEEP" 2>/dev/null || die 2 "TOYSWEEP: a quotation mark is not closed: $TOYSWEEP"
        capture words xargs printf '%s\n' <<<"$TOYSWEEP"
        mapfile -t program <<<"$words"
        command -v "${program[0]:-}" >/dev/null || die 2 "TOYSWEEP: there is no command '${program[0]:-$TOYSWEEP}'"
    elif command -v toysweep >/dev/null; then
        program=(toysweep)
    elif [[ -x $build ]]; then
        program=("$build")
    else
        die 2 "no toysweep on the PATH nor at $build: set TOYSWEEP to the program"
    fi
}

print_names() { "${program[@]}" run --print-names "$@" && echo .; } # the dot keeps a newline at the end of a name

# Sets `sweep` and `results`, the sweep's name and the results file, as the program reads the arguments.
find_names() { # ARGUMENT...
    local both
    capture both print_names "$@" || exit $?
    sweep=${both%%$'\n'*}
    results=${both#*$'\n'}
    results=${results%$'\n.'}
    [[ $results != -* ]] || results=./$results
}

# Gives the log the sweep's name, if it has the name from the top of this script. Slurm goes on writing to the same
# file; after a restart it begins a new one, into which goes what was said before.
name_log() {
    local log new
    capture log readlink "/proc/$$/fd/1" || return 0
    [[ -f $log && ${log##*/} == "toysweep-${SLURM_JOB_ID:-}.log" ]] || return 0
    new=${log%/*}/$sweep-$job.log
    [[ $new != "$log" ]] || return 0
    [[ ! -f $new ]] || cat "$new"
    mv -f "$log" "$new"
}

# --- How to launch it ----------------------------------------------------------------------------------------------
ranks_per_node() {
    if [[ -n ${SLURM_GPUS_ON_NODE:-} && $SLURM_GPUS_ON_NODE != 0 ]]; then
        echo "$SLURM_GPUS_ON_NODE"
    else
        lscpu -p=SOCKET 2>/dev/null | grep -v '^#' | sort -u | grep -c . || echo 1
    fi
}

# When the time limit ends the job, in seconds since 1970; nothing if there is no limit.
job_end() {
    if [[ -n ${SLURM_JOB_END_TIME:-} ]]; then
        echo "$SLURM_JOB_END_TIME"
    elif [[ -n ${SLURM_JOB_ID:-} ]]; then # Slurm before 23.02 does not say it by itself
        local end
        end=$(squeue --noheader --jobs="$job" --format=%e 2>/dev/null) || true
        [[ -z $end ]] || date -d "$end" +%s 2>/dev/null || true # no date is midnight to it
    fi
}

# Sets `launcher`: toysweep-mpirun, which takes the same arguments and ends when the run has ended, also where srun or
# mpirun would hang because a node does not answer. Without it (a program in a container) these must do.
find_launcher() { # srun or mpirun
    local own place=./build/release
    [[ -z ${SLURM_SUBMIT_DIR:-} ]] || place=$SLURM_SUBMIT_DIR/build/release
    capture own command -v "${program[0]}" || own=""
    for own in "${own%/*}/toysweep-mpirun" toysweep-mpirun "$place/toysweep-mpirun"; do
        if command -v "$own" >/dev/null; then
            export TOYSWEEP_MPIRUN=$1 TOYSWEEP_STOP_WAIT=${TOYSWEEP_STOP_WAIT:-2m} # of the 5 that Slurm gives
            launcher=$own
            return
        fi
    done
    say "there is no toysweep-mpirun: if a node is lost, $1 may hang until the job's time limit"
    launcher=$1
}

offers_pmix() { srun --mpi=list 2>&1 | tr -s '[:space:]' '\n' | grep -x pmix >/dev/null; }

# Sets `launch`, and `limit` where the launcher passes no warning of the time limit on.
choose_launcher() {
    local nodes=${SLURM_JOB_NUM_NODES:-1} cpus=${SLURM_CPUS_ON_NODE:-} ranks per_node layout left end now
    [[ -n $cpus ]] || capture cpus nproc
    if [[ -n ${SLURM_NTASKS:-} ]]; then # the user's own layout
        layout=(--ntasks="$SLURM_NTASKS" --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}")
        ranks=$SLURM_NTASKS
    else
        capture per_node ranks_per_node
        ((per_node <= cpus)) || per_node=$cpus
        ranks=$((nodes * per_node))
        layout=(--nodes="$nodes" --ntasks="$ranks" --ntasks-per-node="$per_node" --cpus-per-task=$((cpus / per_node)))
    fi
    limit=()
    if [[ ${TOYSWEEP_LAUNCHER:-srun} != mpirun ]] && command -v srun >/dev/null && offers_pmix; then
        find_launcher srun
        launch=("$launcher" --mpi=pmix --kill-on-bad-exit=1 "${layout[@]}")
    elif [[ ${TOYSWEEP_LAUNCHER:-mpirun} == mpirun ]] && command -v mpirun >/dev/null; then
        find_launcher mpirun
        launch=("$launcher" -n "$ranks")
        capture end job_end
        if [[ -n $end ]]; then
            printf -v now '%(%s)T' -1
            left=$((end - now))
            limit=(--time-limit "$((left > 600 ? left - 300 : left / 2))s")
        fi
    else
        die 1 "there is no ${TOYSWEEP_LAUNCHER:-mpirun}, or it has no pmix: load your cluster's MPI module in the job"
    fi
}

# --- Going on after exit code 75 -----------------------------------------------------------------------------------
# What there is to show so far: instances done, and when the newest state of a unit was saved.
progress() { # RESULTS-FILE
    local json finished newest
    json=$("${program[@]}" status "$1" --json 2>/dev/null) || json=""
    finished=$(grep -o '"done" *: *[0-9]*' <<<"$json" | head -n 1 | grep -o '[0-9]*$' || true)
    newest=$(find "$1.state" -type f -printf '%T@\n' 2>/dev/null | sort -n | tail -n 1 || true)
    echo "done=${finished:-0} state=${newest:-none}"
}

# A cancelled job must not come back; one that Slurm requeues itself needs no help. One that the time limit ended, or
# the end of its grace when it was preempted, does.
is_ending() {
    local state
    state=$(squeue --noheader --jobs="$job" --format="%T %r" 2>/dev/null)
    [[ $state =~ CANCELLED|COMPLETING && $state != *TimeLimit* ]]
}

requeue() { # RESULTS-FILE
    local memory=$1.requeue now last="" fruitless=0
    if is_ending; then
        die "$EXIT_CONTINUE" "Slurm is ending the job (cancelled, or requeued by Slurm): not requeued from here."
    fi
    now=$(progress "$1")
    if [[ -f $memory ]]; then
        { read -r fruitless && read -r last; } <"$memory" || true
        [[ $fruitless =~ ^[0-9]+$ ]] || fruitless=0
        rm -f "$memory"
    fi
    if [[ $now == "$last" ]]; then
        fruitless=$((fruitless + 1))
    else
        fruitless=0
    fi
    if ((fruitless >= MAX_FRUITLESS)); then
        die "$EXIT_CONTINUE" "$MAX_FRUITLESS restarts in a row brought no progress ($now): giving up. A longer --time or a shorter --checkpoint-interval may help."
    elif ((${SLURM_RESTART_COUNT:-0} >= ${TOYSWEEP_MAX_RESTARTS:-100})); then
        die "$EXIT_CONTINUE" "restarted $SLURM_RESTART_COUNT times, the most allowed (TOYSWEEP_MAX_RESTARTS): giving up."
    fi
    printf '%s\n%s\n' "$fruitless" "$now" >"$memory"
    say "stopped early with $now: back into the queue (restart $((${SLURM_RESTART_COUNT:-0} + 1)))"
    scontrol requeue "$job" || die "$EXIT_CONTINUE" "scontrol requeue failed: to continue, submit the job again."
    exit "$EXIT_CONTINUE"
}

# --- Running -------------------------------------------------------------------------------------------------------
(($#)) || die 2 "usage: sbatch slurm/sweep.sh SWEEP.yaml [options of toysweep run]"
# Of an array's tasks one has the array's own number for its job, by which squeue and scontrol mean all of them.
job=${SLURM_JOB_ID:-}
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
    job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    set -- "${@//\%a/$SLURM_ARRAY_TASK_ID}"
fi
source_site
find_program
find_names "$@"
name_log
choose_launcher

# In the background, because bash runs traps only between commands or in `wait`. A time limit among the arguments counts,
# since it comes last.
"${launch[@]}" "${program[@]}" run ${limit[@]+"${limit[@]}"} "$@" &
child=$!
[[ $signalled == no || -n $reminder ]] || { remind & reminder=$!; }
while :; do
    signalled=no code=0
    wait "$child" || code=$?
    # A signal ends the wait, too, and its trap may run only later; with -1 it came just as the child ended, whose code
    # `wait` knows next time.
    [[ $signalled == yes || $code == -1 ]] || kill -0 "$child" 2>/dev/null || break
done
trap '' USR1 USR2 XCPU TERM # what is decided from here on stands; besides, requeueing ends this script
[[ -z $reminder ]] || kill "$reminder" 2>/dev/null || true
# The wish to stop may have reached launcher or ranks before they could handle it; at 205 mpirun has lost a host.
if ((code == 128 + $(kill -l USR2) || code == 128 + $(kill -l TERM) || code == 205)); then
    code=$EXIT_CONTINUE
fi

if ((code == EXIT_CONTINUE)); then
    [[ -n ${SLURM_JOB_ID:-} ]] || die "$code" "not a Slurm job: to continue, run it again"
    requeue "$results"
fi
rm -f "$results.requeue"
exit "$code"
