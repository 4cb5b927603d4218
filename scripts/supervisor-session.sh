#!/usr/bin/env bash
# Composes the dm-* commands into sessions: diagnose, review, demo, test. It never parses text; JSON is cut with jq.
set -uo pipefail
trap '' XFSZ # under a limit of file sizes, writing fails instead of ending whoever writes

self=$(readlink -f "${BASH_SOURCE[0]}")
root=${self%/*/*} # the folder of dm_tools
if [[ -e $root/pyproject.toml ]]; then
    PATH=$root/bin:$PATH
    python=$root/.venv/bin/python configs=$root/configs
else # installed: whoever starts it, dm, knows the Python, and has put the commands into PATH
    python=${DM_PYTHON:?installed, the sessions are called as dm COMMAND} configs=$root/configs
    root=${root%/*}
fi
called=${DM_CALLED:-$self} # in hints
short=${DM_CALLED:-supervisor-session.sh}

usage() {
    cat <<'TXT'
Usage: supervisor-session.sh COMMAND [ARGUMENT]... (or dm COMMAND)

Commands:
  diagnose [--discover] [-p PROJECT] [-f COMPOSE.YAML] [SERVICE]...
                                               probe and inspect the stack, or just these services
  diagnose-enhanced [--discover] [--agent] [--engine ENGINE] [--no-screenshots] [SERVICE]...
                                               also logs, stats, screenshots, root causes, fixes, an HTML page
  tell [ARGUMENT OF diagnose-enhanced]...      the same for cron: only what is new, worse or over is printed, or told to the
                                               targets of your notify.toml (dm docs notify)
  heal [ARGUMENT OF diagnose-enhanced]...      the same, and what your policy allows is carried out, proved, and told
  incidents [--json] [list | unsilence ID]     what is open, what is silenced
  silence SERVICE --for 2h --why TEXT          raise no alarm of it meanwhile; dm-incidents --help has more
  report [--json] [FILE]                       show the newest report (latest), or FILE
  review [--approve SERVICE:NUMBER | --undo] [FILE]
                                               approve fixes of the newest report (latest), or of FILE
  approve [FILE]                               approve by your policy what needs no person, of the newest report or of FILE
  policy [--json] [explain [FILE] | rehearse [TIME] | promotions | accept ID | revoke ID]
                                               what your policy says of the newest report, and which rule; what it would
                                               have done in the past (30d); what was earned or may be (dm docs policy)
  execute [--yes] [--undo-if-worse] [FILE]     carry out what was approved (the newest approval, or FILE), look again, and
                                               say whether it helped; without --yes it shows the plan and asks once
  verify                                       look again, and say whether what was executed last has helped
  rollback [--yes] [ID|last]                   take an action back
  watch [--heal] [--every 30s] [--discover] [--metrics-file FILE] [SERVICE]...
                                               look again and again, say what begins and what is over, or tell the targets
                                               of your notify.toml, and go on when a command dies (dm docs watch); with
                                               --heal also do what your policy allows
  status [--json]                              what the watch saw last; 10 if something is open, 4 if rounds are late
  proxy [--execute] [--bind ADDRESS]           a Docker Engine that can only be looked at, until it is interrupted; with
                                               --execute also what dm-execute asks for (dm docs docker-proxy)
  history [--json] [SERVICE]...                what happened before, what was done, what helped
  demo [--heal] [FAULT]                        break a small real stack and diagnose it (default: database-down); with
                                               --heal also approve the first reversible fix, carry it out and prove it
  test [--all] [PYTEST ARGUMENT]...            install what is missing and run the tests, as CI does; with --all also the
                                               slow ones: every fault of the lab in real containers, a LiteLLM proxy
  help [COMMAND]                               this text, or how one is called (as COMMAND --help)

--discover asks Docker for its containers. Without it the services manifest is read ($SERVICES_MANIFEST_PATH, default
configs/probe-orchestrator/services_manifest.json of the checkout; installed, services_manifest.json in
~/.config/dm-tools); if there is none, Docker is asked.

After an execution it waits $HEAL_SOAK seconds (default 5), looks again with the same stages, and does so until all has
recovered or $HEAL_DEADLINE seconds (default 60) are over. What each action does and takes back: dm docs execute.

Settings come from the environment, then from our own file ($DM_ENV_FILE, or ~/.config/dm-tools/env and .env beside the
README of a checkout): PROOFS_DIR, SERVICES_MANIFEST_PATH, HTTP_TIMEOUT, DOCKER_HOST, COMPOSE_PROJECT_NAME. A .env here is not ours: it
only says what the manifest's ${NAME} stand for. With LLM_BASE_URL a model is asked about what the rules leave open
(dm docs llm); --agent lets it look further with read-only tools.

Reports are kept in $PROOFS_DIR (volumes/proofs of the checkout; installed, ~/.local/state/dm-tools).
Every stage's records are kept in $PROOFS_DIR/runs/RUN/STAGE.jsonl, and all of it in short in brief.txt, of the newest 100
runs. Without a terminal nothing is printed unless
something is wrong.

Exit status: 0 all healthy (execute, verify: all recovered), 10 issues found (not all recovered), 4 some evidence is missing, 5 Docker could not be reached,
2 wrong usage, 3 unusable manifest, 6 cannot write, 130 interrupted; see dm-tools(7).
TXT
}

help_of() { # help_of SESSION: how one is called; all of them are in usage
    local call='' text=''
    case $1 in
    diagnose)
        call='[--discover] [-p PROJECT] [-f COMPOSE.YAML] [SERVICE]...'
        text='Probe and inspect the stack, or just these services, keep a report, and say what is not well. Why, and what to do,
says diagnose-enhanced. The exit status is 0 if all is well, 10 if something is not, 4 if not everything could be seen.

  --discover             ask Docker for its containers instead of reading the services manifest
  -p, --project PROJECT  those of this Compose project only
  -f, --file FILE        those of the project that Compose has started from this file
  --filter KEY=VALUE     those that pass it, as in docker ps
  --host HOST, --context NAME    ask these engines; may be repeated (dm docs hosts)'
        ;;
    diagnose-enhanced)
        call='[--discover] [--agent] [--engine ENGINE] [--no-screenshots] [SERVICE]...'
        text='As diagnose, with logs, stats, screenshots, root causes and fixes, and an HTML page.

  --discover         ask Docker for its containers instead of reading the services manifest; -p PROJECT, -f FILE,
                     --filter KEY=VALUE: only some of them (as for diagnose)
  --host HOST        ask this engine, too; may be repeated, as --context NAME (dm docs hosts)
  --engine ENGINE    who judges: auto, rules, hybrid or llm
  --agent            let a model look further, with read-only tools
  --no-screenshots   start no browser'
        ;;
    tell)
        call='[ARGUMENT OF diagnose-enhanced]...'
        text='Diagnose, and say only what is new, worse or over: on a terminal and in the mail of cron, or to the targets of
your notify.toml if there are any (dm docs notify). The exit status is 10 while something is wrong.'
        ;;
    heal)
        call='[ARGUMENT OF diagnose-enhanced]...'
        # shellcheck disable=SC2016 # the names of variables are told
        text='Diagnose, carry out what your policy allows (dm docs policy), look again, and say only what is new, worse, over, or
could not be healed: on a terminal and in the mail of cron, or to the targets of your notify.toml. What made it worse
is taken back. What a killed session left half done is ended first. $HEAL_SOAK and $HEAL_DEADLINE are as for execute.

The exit status is 0 if all is well in the end, 10 if not, 4 if what was approved had changed before it was done.'
        ;;
    incidents)
        call='[--json] [list | unsilence ID]'
        text='What is open, and what is silenced, as watch, tell and heal have seen it: a diagnosis by hand is not in it.
unsilence ID ends a silence early; its id stands behind it in the list (dm-incidents --help has more).

  --json             a line of JSON for each'
        ;;
    silence)
        call='SERVICE --for 2h --why TEXT'
        text='Raise no alarm of a service for a while; dm incidents lists silences, dm incidents unsilence ID ends one early. The
service need not exist, and * stands for any text (dm-incidents --help has more: projects, hosts, weekly windows).

  --for 2h      how long
  --why TEXT    the reason, for those who wonder later

  dm silence web --for 2h --why "new disk"'
        ;;
    watch)
        call='[--heal] [--every 30s] [--discover] [--metrics-file FILE] [SERVICE]...'
        text='Look again and again, say what begins and what is over, or tell the targets of your notify.toml, and go on when a
command dies (dm docs watch).

  --heal                 when something opens, do what your policy allows, as the session heal does
  --every 30s            how often; an event of a container begins a look at once
  --discover             ask Docker for its containers instead of reading the services manifest; -p PROJECT, -f FILE,
                         --filter KEY=VALUE, --host HOST: only some of them, or those of other engines (as for diagnose)
  --metrics-file FILE    figures for the textfile collector of a node exporter'
        ;;
    status)
        call='[--json]'
        text='When the watch looked last, what is open, and what happened and was done lately. The exit status is 10 if something is
open, 4 if rounds are late or not everything could be seen.

  --json             a line of JSON'
        ;;
    report)
        call='[--json] [FILE]'
        text='Show the newest report of a diagnosis (latest), or FILE (dm-show --help has more: --why, --overview). It does not look
anew.

  --json             as it is, in JSON'
        ;;
    review)
        call='[--approve SERVICE:NUMBER | --undo] [FILE]'
        text='Approve fixes of the newest report (latest), or of FILE; on a terminal they may be carried out at once.

  --approve SERVICE:NUMBER    ask about no other fix than this one of that service
  --undo                      take the last decision back first'
        ;;
    approve)
        call='[FILE]'
        text='Approve by your policy what needs no person, of the newest report or of FILE (dm docs policy).'
        ;;
    policy)
        call='[--json] [explain [FILE] | rehearse [TIME] | promotions | accept ID | revoke ID]'
        text='What your policy.toml says (dm docs policy). Without one all is for a person.

  explain [FILE]     of each fix of the newest report or of FILE: who decides, and by which rule (the default)
  rehearse [TIME]    what it would have done in the past, as 30d
  promotions         what was earned, or may be
  accept ID          let an action that was earned need no person
  revoke ID          and let it need one again
  --json             lines of JSON'
        ;;
    execute)
        call='[--yes] [--undo-if-worse] [FILE]'
        # shellcheck disable=SC2016 # the names of variables are told
        text='Carry out what was approved (the newest approval, or FILE), look again, and say whether it helped.

  --yes              do not show the plan and ask
  --undo-if-worse    take back what made it worse

It waits $HEAL_SOAK seconds (5), looks, and does so until all has recovered or $HEAL_DEADLINE seconds (60) are over.'
        ;;
    verify) text='Look again, and say whether what was executed last has helped.' ;;
    rollback)
        call='[--yes] [ID|last]'
        text='Take an action back: the one with that id, or the last (the default).

  --yes    do not show the plan and ask'
        ;;
    proxy)
        call='[--execute] [--bind unix:///PATH|HOST:PORT]'
        text='Stand before the Docker Engine and let only looks through, until it is interrupted (dm docs docker-proxy).

  --execute         let through what dm-execute asks for, too
  --bind ADDRESS    where to listen'
        ;;
    history)
        call='[--json] [SERVICE]...'
        text='What happened before, what was done, what helped (dm-history --help has more).

  --json    as JSON Lines'
        ;;
    demo)
        call='[--heal] [FAULT]'
        text='Break a small real stack and diagnose it (default: database-down). Others: wrong-password, oom-restart-loop, disk-full,
missing-env, port-conflict, expired-certificate, bad-command, frozen; all of them: python -m tests.lab faults

  --heal    also approve the first reversible fix, carry it out and prove it'
        ;;
    test)
        call='[--all] [PYTEST ARGUMENT]...'
        text='Install what is missing and run the tests, as CI does.

  --all    also the slow ones'
        ;;
    *) return 1 ;;
    esac
    # Whoever was started with SIGPIPE ignored or blocked is told by the failing write alone
    printf 'Usage: %s %s\n\n%s\n' "$short" "$1${call:+ $call}" "$text" 2>/dev/null || {
        [[ -p /dev/stdout ]] && exit 141
        complain "cannot write to standard output" && exit 6
    }
}

say() { # to people; in cron only what matters reaches the mail
    if [[ -t 1 || -n ${loud:-} ]]; then printf '%s\n' "$*"; fi
}

complain() {
    printf 'supervisor: %s\n' "$*" >&2
}

settings() { # the variables that this script itself needs, with those of our settings file
    [[ -x $python ]] || "$root/scripts/setup" || exit
    command -v jq >/dev/null || { complain "jq is not installed (apt-get install jq)" && exit 2; }
    local values=() killed=''
    mapfile -d '' values < <(PYTHONPATH=$root "$python" -P -m dm_tools.pipe.settings PROOFS_DIR SERVICES_MANIFEST_PATH)
    wait "$!" || killed=$(fate "what reads the settings" "$?") # else who takes our place has a child that he does not know
    [[ ${#values[@]} == 2 ]] || {
        [[ $killed != *signal* ]] || complain "$killed" # else it has said what is wrong
        exit 2
    }
    export PROOFS_DIR=${values[0]} SERVICES_MANIFEST_PATH=${values[1]}
    if [[ -z ${DOCKER_HOST:-} && ! -e /var/run/docker.sock ]]; then
        local found # an engine that nobody named is chosen, and told of, once for all stages
        found=$(PYTHONPATH=$root "$python" -P -m dm_tools.engine.address --found) || exit
        [[ -z $found ]] || {
            export DOCKER_HOST=$found
            say "[supervisor] Docker at $found: there is no /var/run/docker.sock, and no other engine was found"
        }
    fi
    [[ $PROOFS_DIR == /* ]] || PROOFS_DIR=$PWD/$PROOFS_DIR
    [[ $SERVICES_MANIFEST_PATH == /* ]] || SERVICES_MANIFEST_PATH=$PWD/$SERVICES_MANIFEST_PATH
}

seconds() { # since the run began
    local now=$EPOCHREALTIME
    printf '%d.%02d' $(((${now/[.,]/} - began) / 1000000)) $(((${now/[.,]/} - began) / 10000 % 100))
}

fate() { # fate WHO STATUS: what a program died of, in words; nothing if it came to its end, as the table in dm-tools(7) has it
    case $2 in
    0 | 4 | 5 | 10 | 141) ;; # that nobody read is no death of one's own
    126 | 127) echo "$1 could not be started (status $2)" ;;
    130) echo "$1 was interrupted" ;;
    143) echo "$1 was terminated (signal 15)" ;;
    129 | 1[3-8]? | 19[0-2]) echo "$1 was killed (signal $(($2 - 128)))" ;;
    *) echo "$1 failed (status $2)" ;;
    esac
}

progress() { # progress STAGE DEATH: to whoever waits at a terminal, what is done
    [[ -n ${waiting:-} ]] || return 0
    local count
    count=$(wc -l <"$run/$1.jsonl")
    printf '[supervisor] %6s s  %s: %s\n' "$(seconds)" "$1" "${2:-$((count)) record$( ((count == 1)) || echo s)}" >&"$waiting"
}

note() { # note STAGE STATUS DEATH: the status file of a stage
    local death=${3:+\"$3\"}
    printf '{"stage":"%s","status":%d,"finished_s":%s,"died":%s}\n' "$1" "$2" "$(seconds)" "${death:-null}" >"$run/$1.status"
}

stage() { # stage NAME COMMAND...: one command; keeps its records, messages, status and time
    local name=$1 status end keeper death
    shift
    { # what bash itself says of a death is nothing for people
        "$@" 2>"$run/$name.err" | tee "$run/$name.jsonl" 2>>"$run/$name.err"
        status=("${PIPESTATUS[@]}")
    } 2>/dev/null
    end=${status[0]} keeper=${status[1]}
    death=$(fate "dm-$name" "$end")
    if ((keeper == 141 && end == 0)); then
        end=141
    elif ((keeper > 128 && keeper != 141)); then
        end=$keeper death=$(fate "tee of dm-$name" "$keeper")
    elif ((keeper != 0 && keeper != 141 && end == 0)); then
        end=6 death="dm-$name's records could not be kept"
    fi
    [[ -z $death || $end == [236] ]] || cat >/dev/null # whoever comes before one that died goes on to the end
    note "$name" "$end" "$death"
    progress "$name" "$death"
    return "$end"
}

together() { # together NAME COMMAND... | NAME COMMAND...: stages of a pipe, from one Python that has imported what they share
    { PYTHONPATH=$root "$python" -P -m dm_tools.session "$run" "$began" "${waiting:-}" "$@" 2>&3; } 3>&2 2>/dev/null
}

reported() { # reported NAME COMMAND... | NAME COMMAND...: the same, and a report of what arrived
    ended=0
    together "$@" \; report "${report_command[@]}" \; brief=brief.txt dm-brief \; history=/dev/null dm-history record
    [[ -e $run/report.status ]] || { # a stage died
        {
            arrived | stage report "${report_command[@]}" >/dev/null
            ended=${PIPESTATUS[0]}
        } 2>/dev/null
    }
}

ends() { # ends STAGE...: how each ended, one a line: its status, then what it died of if it did
    local name
    for name; do
        [[ -s $run/$name.status ]] || note "$name" 255 "dm-$name left no status: what started it was killed"
    done
    (cd "$run" && jq -r '"\(.status) \(.died // "")"' "${@/%/.status}" 2>/dev/null)
}

arrived() { # the records that all stages let through; if one died the newest of each service, judged once more
    local status
    if ! ends "${stages[@]}" | grep ' .' >/dev/null; then
        cat "$run/${stages[-1]}.jsonl"
        return
    fi
    if [[ ${stages[-1]} == propose ]]; then
        {
            newest | dm-analyze --engine rules | dm-propose >"$run/arrived.jsonl"
            status=("${PIPESTATUS[@]}")
        } 2>/dev/null # it has said before what it has to say
        if [[ -z $(fate dm-analyze "${status[1]}")$(fate dm-propose "${status[2]}") ]]; then
            cat "$run/arrived.jsonl"
            return
        fi
    fi
    newest # not judged, but told of
}

newest() { # what came of each service before a stage died; nothing if nothing came
    [[ ! -s $run/services.jsonl ]] || PYTHONPATH=$root "$python" -P -m dm_tools.pipe.arrived "$run" "${stages[@]}"
}

conclude() { # conclude TITLE: tell of the report and of the stages
    local first='' status said
    [[ -s $run/report.status ]] || note report 255 "dm-report left no status: its shell was killed"
    summary
    [[ -n ${said[0]:-} || ! -s $run/report.jsonl ]] || summary # whoever read it was killed
    if [[ -s $run/services.jsonl && -z ${said[0]:-} ]]; then
        status=$(jq .status "$run/report.status")
        if [[ $status != @(2|6|130) ]]; then
            first=$(jq -r 'select(.died) | "\(.status) \(.died)"' "$run/report.status")
            [[ -n $first ]] || first="$((ended ? ended : 255)) the shell before dm-report was killed"
            arrived | stage report "${report_command[@]}" >/dev/null
            summary
        fi
    fi
    [[ -e $run/brief.status ]] || brief
    if [[ -e $run/history.status ]]; then compact; else remember "$(arrivals)"; fi
    if [[ -n ${only_news:-} ]]; then news; else saved "$1"; fi
    finish "$first"
}

summary() { # into `said`: the paths of the report and of its page, whether all is well, and a line for each issue
    mapfile -t said < <(jq -r '.report_path // "", .html_path // "", (.incomplete == [] and (.summary | .total <= .healthy)),
        (.issues[]? | "\(.severity | ascii_upcase) \(.service): \(.root_cause_hypothesis)"
            + (if .symptoms == [] then "" else " (also failing: \(.symptoms | join(", ")))" end)
            + (if .first_action then "; proposed: \(.first_action)" else "" end)
            + (if .before then "; \(.before)" else "" end))' "$run/report.jsonl" 2>/dev/null)
}

begin() { # a new run's folder; of the old ones the newest 100 stay, so that cron does not fill the disk
    local old=()
    began=${EPOCHREALTIME/[.,]/}
    mapfile -t old < <(find "$PROOFS_DIR/runs" -mindepth 1 -maxdepth 1 -type d -name '20*T*-*' 2>/dev/null | sort)
    ((${#old[@]} <= 100)) || rm -r -- "${old[@]:0:${#old[@]}-100}"
    # A quick session begins another one within the same second.
    runs=$((${runs:-0} + 1)) run=$PROOFS_DIR/runs/$(date +%Y%m%dT%H%M%S)-$$
    ((runs == 1)) || run+=-$runs
    # In a folder that others may write to, nothing that they laid there is written through.
    (umask 077 && mkdir -p "$PROOFS_DIR/runs" && [[ ! -L $PROOFS_DIR/runs ]] && mkdir "$run") || {
        complain "cannot write '$run'"
        exit 6
    }
}

sources() { # dm-services with the right source: dm-services ARGUMENT...
    local argument arguments=() discover='' chosen=() value=''
    analyze_options=() blind=
    for argument; do
        case $value in
        chosen) chosen+=("$argument") value='' && continue ;;
        engine) analyze_options+=("$argument") value='' && continue ;;
        esac
        case $argument in
        --discover) discover=1 ;;
        -p | -f | --project | --file | --filter | --host | --context) discover=1 chosen+=("$argument") value=chosen ;;
        --project=* | --file=* | --filter=* | --host=* | --context=*) discover=1 chosen+=("$argument") ;;
        --agent) analyze_options+=(--agent) ;;
        --engine) analyze_options+=(--engine) value=engine ;;
        --engine=*) analyze_options+=(--engine "${argument#--engine=}") ;;
        --no-screenshots) blind=1 ;;
        -*)
            complain "unknown option '$argument' (try '$short $command --help')"
            exit 2
            ;;
        *) arguments+=("$argument") ;;
        esac
    done
    [[ -z $value ]] || { complain "'$argument' wants a value" && exit 2; }
    if [[ -z $discover && ! -e $SERVICES_MANIFEST_PATH ]]; then
        say "[supervisor] No manifest at $SERVICES_MANIFEST_PATH: asking Docker"
        discover=1
    fi
    source_command=(dm-services ${discover:+--discover} ${chosen[@]+"${chosen[@]}"} -- ${arguments[@]+"${arguments[@]}"})
}

arrivals() { # the file of what arrived in the end
    if [[ -s $run/arrived.jsonl ]]; then echo "$run/arrived.jsonl"; else echo "$run/${stages[-1]}.jsonl"; fi
}

brief() { # what arrived in short, for a large model or a person
    local kept
    kept=$(arrivals)
    [[ ! -e $kept ]] || aside brief dm-brief <"$kept" >"$run/brief.txt"
}

remember() { # remember FILE...: into the history; what cannot be written is said, and ends nothing
    local there=() file
    for file; do [[ ! -s $file ]] || there+=("$file"); done
    ((${#there[@]} == 0)) || aside history dm-history record "${there[@]}" >/dev/null
    compact
}

compact() { # of the history, once a day
    [[ -n $(find "$PROOFS_DIR/history/compacted" -mmin -1440 2>/dev/null) ]] ||
        aside history dm-history compact >/dev/null
}

aside() { # aside NAME COMMAND...: what ends no session; that it was killed is said, in our words
    local name=$1 status death
    shift
    { "$@" 2>>"$run/$name.err" && status=0 || status=$?; } 2>/dev/null
    death=$(fate "dm-$name" "$status")
    [[ $death != *signal* ]] || complain "$death"
}

finish() { # finish DEATH: tell what the stages had to say, and of an earlier DEATH; returns the session's exit status
    local status death who worst=0 all=() outcomes=() files=("${stages[@]}" report)
    mapfile -t outcomes < <(ends "${files[@]}")
    files=("${files[@]/#/$run/}")
    cat "$run"/*.err >&2
    for death in ${1:+"$1"} "${outcomes[@]}"; do
        status=${death%% *} death=${death#* }
        who=${death%% *}
        # Of an end that is in the table the program itself has told; after Ctrl-C nobody need be told.
        [[ -z $death || ($status == [1236] && -s $run/${who#dm-}.err) ||
            ($status == 130 && ${outcomes[-1]} == "130 "*) ]] || complain "$death"
    done
    all=("${outcomes[@]%% *}")
    ((${#all[@]} == ${#files[@]})) || all+=(6) # not even that could be written
    [[ -z $1 ]] || all+=("${1%% *}")
    for status in 130 143 1 6 3 2 141 10 5 4; do # the first that applies, as in dm-tools(7)
        [[ " ${all[*]} " != *" $status "* ]] || { worst=$status && break; }
    done
    for status in "${all[@]}"; do # one that nobody knows is worse than all
        [[ $status == @(0|1|2|3|4|5|6|10|130|141|143) ]] || worst=$status
    done
    ((worst != 141)) || complain "a stage lost its reader"
    if ((worst == 5 || worst == 10)) && grep -qs docker_unreachable "$run"/*.jsonl; then
        jq -rn 'first(inputs.errors[]? | select(.code == "docker_unreachable") | "supervisor: " + .message)' \
            "$run"/*.jsonl 2>/dev/null | tail -n 1 >&2
    fi
    if [[ -n ${loud:-} && -z ${waiting:-} ]]; then # at a terminal each stage has told
        jq -jn '"[supervisor] Seconds until each stage was done:", (inputs | "  \(.stage) \(.finished_s)"), "\n"' \
            "${files[@]/%/.status}"
    fi
    return "$worst"
}

diagnose() {
    settings
    sources "$@"
    begin
    local waiting=''
    [[ ! -t 1 ]] || exec {waiting}>&1
    say "[supervisor] Triggering diagnostics..."
    stages=(services probe inspect)
    report_command=(dm-report --fail-on unhealthy --run-path "$run")
    reported services "${source_command[@]}" \| probe dm-probe \| inspect dm-inspect
    conclude "Diagnostic report saved:"
}

diagnose_enhanced() {
    settings
    sources "$@"
    begin
    local waiting=''
    [[ ! -t 1 ]] || exec {waiting}>&1
    say "[supervisor] Triggering ENHANCED diagnostics..."
    stages=(services probe inspect logs stats screenshot analyze propose)
    report_command=(dm-report --html --fail-on unhealthy --run-path "$run")
    local eyes=(dm-screenshot) reason
    if [[ -n $blind ]]; then
        eyes=(cat)
    else
        reason=$(PYTHONPATH=$root "$python" -P -m dm_tools.collect.browser) || {
            say "[supervisor] No screenshots: $reason"
            eyes=(cat)
        }
    fi
    reported services "${source_command[@]}" \| probe dm-probe \| inspect dm-inspect \| logs dm-logs \| stats dm-stats \| \
        screenshot "${eyes[@]}" \| analyze dm-analyze ${analyze_options[@]+"${analyze_options[@]}"} \| \
        propose dm-propose --history "$PROOFS_DIR"
    if [[ -t 1 || -n ${loud:-} ]]; then
        jq -r 'select((.analysis.status // "healthy") != "healthy") | "Analyzing \(.service) (\(.analysis.status))..."' \
            "$run/propose.jsonl"
    fi
    conclude "Enhanced diagnostic report saved:"
}

saved() { # what the report says, in a few lines
    local path=${said[0]:-} page=${said[1]:-}
    [[ -n $path ]] || return 0
    if [[ ${said[2]} == true ]]; then
        say "[supervisor] All is healthy"
        complaints
        say "$1 $path"
        [[ -z $page ]] || say "To open in a browser: $page"
    else
        ((${#said[@]} == 3)) || printf '%s\n' "${said[@]:3}"
        [[ " ${stages[*]} " == *" analyze "* ]] || unwell "$path"
        complaints
        printf '%s %s\n' "$1" "$path"
        [[ -z $page ]] || printf 'To open in a browser: %s\n' "$page"
    fi
}

unwell() { # unwell REPORT: what was seen of each service that is not well; why, nobody has judged
    jq -c --slurpfile report "$1" 'select(.service as $own | any($report[0].services[]; .name == $own and .status != "healthy"))' \
        "$(arrivals)" | dm-show | cat # a terminal would cut the lines
    say "Why, and what would help: $called diagnose-enhanced"
}

tell() { # look, and tell only what is new, worse or over
    local only_news=1
    diagnose_enhanced "$@"
}

news() { # what is new, worse or over: to the targets that are named, or else to whoever reads the output
    local name
    watched || judged "$(arrivals)"
    [[ -n ${later:-} ]] || told_of "$run"
    for name in incidents notify; do [[ ! -e $run/$name.status ]] || stages+=("$name"); done
}

watched() { # whether a watch looks into this folder: then what the looks mean is judged there
    [[ -e $PROOFS_DIR/watch/lock ]] && ! flock -n "$PROOFS_DIR/watch/lock" true
}

judged() { # judged FILE...: what records say of incidents, into events.jsonl of the run
    cat -- "$@" 2>/dev/null | stage incidents dm-incidents >>"$run/events.jsonl"
}

notified() { # notified RUN...: events of runs to the targets; false if there are none
    local page
    PYTHONPATH=$root "$python" -P -m dm_tools.notify.config || return # it says what is wrong with them
    page=$(jq -r '.html_path // empty' "$run/report.jsonl" 2>/dev/null)
    cat -- "${@/%//events.jsonl}" 2>/dev/null | stage notify dm-notify ${page:+--page "$page"} >/dev/null
    return 0
}

told_of() { # told_of RUN...: what happened in runs, to the targets or to whoever reads the output
    local page
    if notified "$@" && [[ ! -t 1 ]]; then return; fi
    page=$(jq -r '.html_path // empty' "$run/report.jsonl" 2>/dev/null)
    set -- "$(cat -- "${@/%//events.jsonl}" 2>/dev/null)"
    [[ -n $1 ]] || {
        say "[supervisor] Nothing is new, worse or over"
        return 0
    }
    dm-show <<<"$1" | cat # a terminal would cut the lines
    [[ -z $page ]] || printf 'To open in a browser: %s\n' "$page"
}

heal() { # one pass: look, carry out what the policy allows, prove it, and tell what came of it
    local only_news=1 later=1 undo_if_worse=unasked status=10 first lock fit=1 seen=''
    [[ ${1:-} != --seen=* ]] || { seen=${1#--seen=} && shift; } # a round of the watch
    [[ -n $seen ]] || settings # the watch has exported them
    (umask 077 && mkdir -p "$PROOFS_DIR") || exit 6
    exec {lock}<"$PROOFS_DIR" # whatever of this session still runs after a kill holds it, too
    flock -n "$lock" || { complain "another heal is at work in '$PROOFS_DIR'" && exit 6; }
    rm -f -- "$PROOFS_DIR/journal/resumed.jsonl"
    if unfinished; then # what a kill left half done is no trouble of the stack
        dm-execute --resume >"$PROOFS_DIR/journal/resumed.jsonl" || fit=''
    fi
    if [[ -n $seen ]]; then
        begin
        stage propose dm-propose --history "$PROOFS_DIR" <"$seen" >/dev/null || (($? == 4)) || # a round counts no history in
            cp -- "$seen" "$run/propose.jsonl" || exit 6
        jq -c 'del(.probe, .inspect, .logs, .stats, .screenshot, .analysis, .proposals, .carried, .errors)' \
            "$run/propose.jsonl" >"$run/services.jsonl"
        remember "$run/propose.jsonl" & # meanwhile it goes on
    else
        diagnose_enhanced "$@"
        status=$?
    fi
    first=$run
    [[ ! -s $PROOFS_DIR/journal/resumed.jsonl ]] || judged "$PROOFS_DIR/journal/resumed.jsonl"
    if ((status == 10)) && [[ -n $fit ]]; then
        stage approve dm-approve - <"$run/propose.jsonl" >/dev/null || status=$?
        cat "$run/approve.err" >&2
        if [[ -s $run/approve.jsonl ]]; then
            jq -r '"[supervisor] \(.service): \(.action): approved by \(.by)"' "$run/approve.jsonl" >"$run/heal.txt"
            [[ ! -t 1 ]] || cat "$run/heal.txt"
            if [[ -t 1 ]]; then
                carry_out "$run/approve.jsonl" "$run"
            else
                carry_out "$run/approve.jsonl" "$run" >>"$run/heal.txt"
            fi
            status=$?
            # What had changed since it was looked at wants another look, and no waiting.
            ((status != 10)) || ! jq -se 'any(.execution.status == "stale")' "$run/execute.jsonl" >/dev/null || status=4
            # Proved is what was acted on; the report of now says what else is wrong.
            ((status != 0)) || ! jq -e '.issues != []' "$run/report.jsonl" >/dev/null || status=10
        elif ((status == 10)); then
            say "[supervisor] Nothing of it is approved by the policy; why: $called policy explain"
        fi
    fi
    wait
    if [[ $run == "$first" ]]; then told_of "$run"; else told_of "$first" "$run"; fi
    cat "$run"/{incidents,notify}.err 2>/dev/null >&2
    return "$status"
}

unfinished() { # whether the journal may tell of an action that was begun and has no outcome
    local journal=$PROOFS_DIR/journal/actions.jsonl
    [[ -e $journal ]] || return
    jq -se 'group_by(.id) | any(map(select(.phase != "step")) | last.phase | IN("intent", "undoing"))' "$journal" \
        >/dev/null 2>&1
    (($? != 1)) # a line that a kill tore is looked at by who knows the journal
}

incidents() {
    settings
    if [[ -t 1 && ${1:-} == unsilence ]]; then
        dm-incidents "$@" | silences
        return "${PIPESTATUS[0]}"
    fi
    [[ ${1-} == [a-z]* ]] || set -- list "$@"
    dm-incidents "$@"
}

silence() {
    settings
    if [[ -t 1 ]]; then
        dm-incidents silence "$@" | silences
        return "${PIPESTATUS[0]}"
    fi
    dm-incidents silence "$@"
}

silences() { # what was begun or ended, in words
    jq -r --arg called "$called" '([.service, .project, .host, .incident | select(. != "")] | join(", ")) as $what
        | if .action == "end" then "\($what): alarms are raised again"
        else "\($what): no alarm until \(.until); to end it: \($called) incidents unsilence \(.id)" end'
}

complaints() { # what healthy services say that made no issue; in cron it is no reason for a mail
    [[ -t 1 || -n ${loud:-} ]] || return 0
    jq -r '.complaints[]? | "complains: \(.)"' "$run/report.jsonl"
}

report() {
    settings
    local json='' file
    [[ ${1-} != --json ]] || { json=1 && shift; }
    file=${1:-latest}
    if [[ $file == latest && ! -e latest ]]; then
        # The names end in seconds since 1970, all of one length: the last one is the newest.
        local enhanced=("$PROOFS_DIR"/enhanced_diagnostics_*.json) stack=("$PROOFS_DIR"/stack_diagnostics_*.json) age
        file=${stack[-1]}
        [[ ${enhanced[-1]##*_} < ${stack[-1]##*_} ]] || file=${enhanced[-1]}
        [[ -e $file ]] || {
            complain "no report in '$PROOFS_DIR'; run $called diagnose-enhanced first"
            exit 3
        }
        age=${file##*_} && age=${age%.json}
        ((EPOCHSECONDS - age < 900)) || say "[supervisor] This is how it was $(((EPOCHSECONDS - age) / 60)) minutes ago: $called diagnose-enhanced looks now"
    fi
    if [[ $json ]]; then cat "$file"; else dm-show "$file"; fi
}

review() {
    settings
    [[ -t 1 ]] || {
        dm-review "$@"
        return
    }
    local loud=1 undo_if_worse='' report='' approved from
    local all=("$PROOFS_DIR"/enhanced_diagnostics_*.json)
    (($# == 0)) || report=${!#} # behind the options of dm-review
    [[ $report == *.json ]] || report=${all[-1]}
    approved=$(dm-review "$@") || return # the approval file has the actions; here a person reads
    [[ -n $approved ]] || return 0
    from=$(jq -r '.run_path // empty' "$report" 2>/dev/null)
    [[ -e $from/services.jsonl && -e $from/propose.jsonl ]] || {
        say "To carry it out: $called execute"
        return 0
    }
    agreed <(printf '%s\n' "$approved") || return 0
    carry_out <(printf '%s\n' "$approved") "$from"
}

newest_report() { # the newest enhanced report, or the one that is named
    local all=("$PROOFS_DIR"/enhanced_diagnostics_*.json) # the names end in seconds since 1970, all of one length
    report=${1:-latest}
    [[ $report != latest ]] || report=${all[-1]}
    [[ -e $report || ${1:-latest} == latest ]] || {
        complain "cannot read '$report': no such file or directory"
        exit 3
    }
    [[ -e $report ]] || {
        complain "no report in '$PROOFS_DIR'; run $called diagnose-enhanced first"
        exit 3
    }
}

approve() {
    local report loud=1 approved
    settings
    newest_report "$@"
    approved=$(dm-approve "$report") || return
    if [[ -z $approved ]]; then
        say "[supervisor] Nothing of it is approved by the policy; why: $called policy explain"
        return 0
    fi
    jq -r '"[supervisor] \(.service): \(.action): approved by \(.by)"' <<<"$approved"
    say "To carry it out: $called execute"
}

as_text() { # what dm-approve told, by a program for jq; with --json as it is
    if [[ $json ]]; then printf '%s' "${told:+$told$'\n'}"; else jq -r "$1" <<<"$told"; fi
}

policy() {
    local report what told json='' others=() own
    for what; do
        if [[ $what == --json ]]; then json=1; else others+=("$what"); fi
    done
    set -- "${others[@]}"
    what=${1:-explain}
    settings
    case $what in
    explain)
        newest_report "${@:2}"
        told=$(dm-approve --explain "$report") || return
        as_text '"\(.service): \(.action): " + ({approved: "approved", person: "for a person", refused: "refused"}[.ruling])
            + (if .rule then " (rule \(.rule))" else "" end) + ": \(.reason)"'
        own=${DM_ENV_FILE:-${XDG_CONFIG_HOME:-${HOME:-}/.config}/dm-tools/env} own=${own%/*}/policy.toml
        [[ -n $json || -n ${DM_POLICY:-} || -e $own ]] || say "[supervisor] You have no policy: all is for a person. To write one: dm docs policy"
        ;;
    rehearse)
        told=$(dm-approve --rehearse --last "${2:-30d}") || return
        as_text '"Since \(.since[:10]): \(.actions) actions, \(.approved) of them without a person: \(.recovered) helped, \(.not_recovered) did not, \(.worse) made it worse, \(.unproven) unproven",
            (.by_rule | to_entries[] | "  by \(.key): \(.value)"),
            (.harms[] | "  harm: \(.at) \(.service): \(.action) against \(.cause), by \(.rule)"),
            (.proposed[] | "  might be accepted: \(.id) \(.service): \(.action) against \(.cause)")'
        ;;
    promotions)
        told=$(dm-approve --promotions) || return
        as_text '"\(.id) \(.standing): \(.service): \(.action) against \(.cause): \(.successes) of \(.successes + .failures), \(.low * 100 | round)-\(.high * 100 | round) %"
            + (if .at then ", \(.at[:10])" else "" end) + (if .by then " by \(.by)" else "" end)'
        ;;
    accept | revoke)
        told=$(dm-approve "--$what" "${2:-}") || return
        as_text '.promotion.service + ": " + .promotion.action + " against " + .promotion.cause
            + (if .accepted then ": needs no person from now on" else ": needs a person again" end)'
        ;;
    *)
        complain "unknown word '$what' (try '$short policy --help')"
        exit 2
        ;;
    esac
}

asked() { # asked QUESTION: whether a person on the terminal says yes
    local answer
    [[ -t 0 ]] || {
        complain "no terminal to ask on: give --yes to carry it out without asking"
        exit 2
    }
    read -r -p "$1 [y/N] " answer
    [[ $answer == [yY] || $answer == [yY]es ]]
}

plan() { # what would be done, from the records of --plan
    jq -r '"\(.service): \(.action)" + (if .execution.status == "planned" then "" else " (\(.execution.status): \(.execution.reason))" end),
        (.execution.steps[] | "    \(.)"), (.execution.undo | values | "    way back: \(.)")'
}

agreed() { # agreed FILE: show what would be done, and ask once; false if nothing is to be done
    local planned status
    planned=$(dm-execute --plan "$1")
    status=$?
    plan <<<"$planned"
    ((status == 0 || status == 4)) || exit "$status"
    jq -se 'any(.execution.status == "planned")' <<<"$planned" >/dev/null || {
        say "[supervisor] Nothing of it is to be carried out"
        return 1
    }
    asked "Carry this out?"
}

round_of_watch() { # the records of a round that begins now, of the watch that this pass belongs to; false if none comes
    local watch=$PROOFS_DIR/watch now until=$((SECONDS + 30))
    [[ -p $watch/bell ]] && watched || return
    now=$(date -u +%FT%T.%3NZ)
    printf 'now\n' 1<>"$watch/bell" # opened like this it waits for no reader
    until jq -e --arg now "$now" '.round.at > $now' "$watch/status.json" >/dev/null; do
        ((SECONDS < until)) || return
        sleep 0.2
    done
    cp -- "$watch/round.jsonl" "$run/propose.jsonl"
}

look() { # look SECONDS [cheaply]: after so long look again at the services of a run, by the same stages as diagnose-enhanced
    if [[ -n ${2:-} ]]; then
        sleep "$1"
        if round_of_watch; then
            stage verify dm-verify --before "$run/before.jsonl" --executed "$run/execute.jsonl" \
                <"$run/propose.jsonl" >/dev/null
            return
        fi
        set -- 0
    fi
    { sleep "$1" && cat "$run/services.jsonl"; } | # meanwhile all programs start, and the browser
        stage probe dm-probe |
        stage inspect dm-inspect |
        stage logs dm-logs |
        stage stats dm-stats |
        stage screenshot eyes |
        stage analyze dm-analyze |
        stage propose dm-propose |
        stage verify dm-verify --before "$run/before.jsonl" --executed "$run/execute.jsonl" >/dev/null
}

eyes() { # dm-screenshot where there is a browser, and where there were pages before
    if ! jq -se 'any(.screenshot)' "$run/before.jsonl" >/dev/null; then
        cat
    elif PYTHONPATH=$root "$python" -P -m dm_tools.collect.browser >/dev/null; then dm-screenshot; else cat; fi
}

prove() { # look until all has recovered or the time is over, and say so; 0: all that was acted on has recovered
    local soak=${HEAL_SOAK:-5} until=$((SECONDS + ${HEAL_DEADLINE:-60})) looks=0 worse=''
    [[ ! -t 1 ]] || say "[supervisor] Looking whether it helped, for at most ${HEAL_DEADLINE:-60} seconds..."
    while :; do
        # Rounds of a watch cost nothing; if they cannot tell, since it carries old logs on, a look of our own does.
        looks=$((looks + 1))
        if ((looks < 4)); then look "$soak" "${seen:-}"; else look "$soak"; fi
        # That it is worse is believed of two looks in a row.
        if healed || idle || { ((SECONDS >= until)) && { ! worsened || [[ -n $worse ]]; }; }; then break; fi
        if worsened; then worse=1; else worse=''; fi
    done
    wait
    [[ -z ${judging:-} ]] || judged "$run/verify.jsonl" # that it is over is known at once
    remember "$run"/{execute,verify,propose}.jsonl
    cat "$run"/{verify,propose,history}.err >&2
    jq -r '.service as $service | .verification
        | if .proof == "recovered" then
            "\($service): recovered, proved by what is gone: \(.gone[:3] | join("; "))"
            + (if (.gone | length) > 3 then "; and \((.gone | length) - 3) more" else "" end)
            + (if .reason then " (\(.reason))" else "" end)
        elif .action_ids == [] then "\($service): nothing was approved for it; \(.proof)"
        else "\($service): \(.proof | gsub("_"; " ")): \(.reason // "")"
            + ([(.stays[:3][] | "; still: \(.)"), (.new[:3][] | "; new: \(.)")] | join("")) end' "$run/verify.jsonl"
    healed
}

worsened() { # whether something fails that did not before
    jq -se 'any(.verification.action_ids != [] and .verification.proof == "worse")' "$run/verify.jsonl" >/dev/null
}

idle() { # whether nothing was done that could help after a while
    ! jq -se 'any(.execution.status == ("done", "already_done", "failed"))' "$run/execute.jsonl" >/dev/null
}

healed() { # whether each root that something was done about has recovered, and there was one
    jq -se 'map(select(.verification.action_ids != []) | .verification.proof == "recovered") | length > 0 and all' \
        "$run/verify.jsonl" >/dev/null
}

carry_out() { # carry_out FILE RUN: what was approved of that run; a new run holds what was done and seen
    local file=$1 from=$2 ids=() judging=''
    begin
    cp -- "$from/services.jsonl" "$run/services.jsonl" && cp -- "$from/propose.jsonl" "$run/before.jsonl" || exit 6
    stage execute dm-execute --wait healthy "$file" >/dev/null
    local status=$?
    cat "$run/execute.err" >&2
    [[ ! -e $PROOFS_DIR/incidents/rounds.jsonl ]] || judging=1
    [[ -z $judging ]] || judged "$run/execute.jsonl" & # while it is waited for the first look
    ((status == 0 || status == 4)) || { wait && remember "$run/execute.jsonl"; return "$status"; }
    jq -r --arg short "$short" '"[supervisor] \(.service): \(.action): \(.execution.status)"
        + (if .execution.reason then ": \(.execution.reason)" else "" end)
        + (if .execution.undo then " (take it back: \($short) rollback \(.execution.id[:8]))" else "" end)' \
        "$run/execute.jsonl"
    prove
    status=$?
    mapfile -t ids < <(jq -r --slurpfile seen "$run/verify.jsonl" 'select(.execution.kept) | .execution.id as $id
        | select(any($seen[].verification; .proof == "recovered" and any(.action_ids[]; . == $id))) | $id' "$run/execute.jsonl")
    if ((${#ids[@]})); then
        stage settle dm-execute "${ids[@]/#/--settle=}" |
            jq -r '.execution | (.steps[] | "[supervisor] \(.)"), (.reason | values)'
    fi
    if [[ -n ${undo_if_worse:-} ]]; then
        # Unasked nobody is stopped again who was down before: it would surely harm, and may not cure what fails now.
        mapfile -t ids < <(jq -r --slurpfile seen "$run/verify.jsonl" --arg how "$undo_if_worse" 'select(.execution.undo)
            | select($how != "unasked" or (.action | IN("start", "unpause", "reconnect_network") | not))
            | .execution.id as $id
            | select(any($seen[].verification; .proof == "worse" and any(.action_ids[]; . == $id))) | $id' "$run/execute.jsonl")
        ((${#ids[@]} == 0)) || taken_back "${ids[@]}"
    fi
    cat "$run"/{settle,undo}.err 2>/dev/null >&2
    told
    if [[ -n $judging ]]; then
        [[ ! -s $run/undo.jsonl ]] || judged "$run/undo.jsonl"
        [[ -n ${later:-} ]] || notified "$run"
    fi
    return $((status == 0 ? 0 : 10))
}

told() { # a report of now that tells what was done and proved
    local executed=("$run/execute.jsonl") each
    for each in settle undo; do [[ ! -s $run/$each.jsonl ]] || executed+=("$run/$each.jsonl"); done
    {
        cat "$run/verify.jsonl"
        jq -c --slurpfile seen "$run/verify.jsonl" 'select(.service as $own | all($seen[]; .service != $own))' "$run/propose.jsonl"
    } | stage weigh dm-propose --history "$PROOFS_DIR" | # what was done just now counts for what is proposed next
        stage report dm-report --html --run-path "$run" "${executed[@]/#/--executed=}" >/dev/null
    cat "$run"/{weigh,report}.err >&2
    say "What was done and proved: $(jq -r '.report_path, "in a browser: \(.html_path)"' "$run/report.jsonl" | paste -sd ' ')"
}

taken_back() { # taken_back ID...: by dm-undo, and what came of it in words
    ${run:+stage undo} dm-undo "$@" | dm-history record | jq -r '"[supervisor] \(.service): \(.action): \(.execution.status)"
        + (if .execution.reason then ": \(.execution.reason)" else "" end)'
    return "${PIPESTATUS[0]}"
}

execute() {
    local argument file='' yes='' undo_if_worse='' from loud=1
    for argument; do
        case $argument in
        --yes) yes=1 ;;
        --undo-if-worse) undo_if_worse=1 ;;
        -*)
            complain "unknown option '$argument' (try '$short $command --help')"
            exit 2
            ;;
        *) file=$argument ;;
        esac
    done
    settings
    if [[ -z $file ]]; then
        local all=("$PROOFS_DIR"/approved_fixes_*.json) # the names hold the time
        file=${all[-1]}
        [[ -e $file ]] || {
            complain "nothing is approved in '$PROOFS_DIR'; run $called review first"
            exit 3
        }
    fi
    [[ -r $file ]] || { complain "cannot read '$file': no such file or directory" && exit 3; }
    from=$(jq -r '.source_report // empty' "$file" 2>/dev/null)
    [[ -z $from ]] || from=$(jq -r '.run_path // empty' "$from" 2>/dev/null)
    [[ -n $from && -e $from/services.jsonl && -e $from/propose.jsonl ]] || {
        complain "the run that '$file' was approved of is not there: without it nothing can be proved; diagnose again, or use dm-execute"
        exit 3
    }
    [[ -n $yes ]] || agreed "$file" || return 0
    carry_out "$file" "$from"
}

verify() {
    local loud=1 all=()
    settings
    mapfile -t all < <(find "$PROOFS_DIR/runs" -mindepth 2 -maxdepth 2 -name before.jsonl 2>/dev/null | sort)
    ((${#all[@]})) || {
        complain "nothing was executed in '$PROOFS_DIR'"
        exit 3
    }
    local from=${all[-1]%/*}
    begin
    cp -- "$from"/{services,before,execute}.jsonl "$run/" || exit 6
    HEAL_SOAK=0 HEAL_DEADLINE=0 prove || return 10
}

rollback() {
    local yes='' loud=1
    [[ ${1:-} != --yes ]] || { yes=1 && shift; }
    settings
    if [[ -z $yes ]]; then
        local planned
        planned=$(dm-undo --plan "${1:-last}") || exit
        plan <<<"$planned"
        asked "Take this back?" || return 0
    fi
    taken_back "${1:-last}"
}

with_root() { # an engine of our own and its image need root: the same session again, by sudo
    [[ -e $root/pyproject.toml ]] || { complain "'$1' needs a checkout: its stack and tests are not installed" && exit 2; }
    [[ $(id -u) != 0 ]] || return 0
    command -v sudo >/dev/null || {
        complain "this needs root to run a Docker Engine, and there is no sudo"
        exit 2
    }
    complain "this needs root to run a Docker Engine: asking sudo"
    sudo -E env "PATH=$PATH" "$0" "$@"
    local status=$?
    # what root made in the checkout belongs to whoever owns the checkout
    sudo chown -R "$(id -u):$(id -g)" "$root" ${PROOFS_DIR:+"$PROOFS_DIR"}
    exit "$status"
}

free_port() { # a port for the demo's shop, and the one 363 above it for HTTPS
    local port
    for port in 18080 28080 38080 48080; do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || (: <"/dev/tcp/127.0.0.1/$((port + 363))") 2>/dev/null || break
    done
    echo "$port"
}

demo() {
    with_root demo "$@"
    local heal=''
    [[ ${1:-} != --heal ]] || { heal=1 && shift; }
    local fault=${1:-database-down} loud=1 expected report status engine=--engine
    [[ $fault != -* && $# -le 1 ]] || { complain "unknown option '${2:-$fault}' (try '$short demo --help')" && exit 2; }
    "$root/scripts/setup" lab || exit
    cd "$root" || exit
    expected=$("$python" -m tests.lab expect "$fault") || exit 2
    export DM_LAB_PROJECT=${DM_LAB_PROJECT:-dmdemo} DM_LAB_PORT=${DM_LAB_PORT:-$(free_port)}
    "$python" -m tests.lab env >/dev/null 2>&1 && engine='' # it ran before us and stays
    # shellcheck disable=SC2064 # now is the time to expand
    trap "$(printf '%q' "$python") -m tests.lab down $engine" EXIT
    say "[demo] Starting a small shop in real containers: nginx, a Python app, a worker, PostgreSQL, Redis"
    "$python" -m tests.lab up || exit
    say "[demo] Breaking it: $(jq -r .title <<<"$expected")"
    "$python" -m tests.lab inject "$fault" 2>/dev/null || exit
    eval "$("$python" -m tests.lab env)"
    settings
    diagnose_enhanced
    status=$?
    report=$(jq -r '.report_path // empty' "$run/report.jsonl")
    if [[ -n $report ]] && jq -e --argjson expected "$expected" \
        '[.issues[] | [.service, .cause]] == [$expected | select(.root) | [.root, .cause]]' "$report" >/dev/null; then
        if [[ -n $heal ]]; then
            demo_heal "$report"
            return
        fi
        say "[demo] Right: that is what was broken. Next: $called review"
        return 0
    fi
    say "[demo] Wrong: this was injected: $expected (the diagnosis ended with status $status)"
    return 1
}

demo_heal() { # demo_heal REPORT: approve the first reversible fix of each issue, carry it out, prove it
    local approved=$run/approved.jsonl from=$run
    say "[demo] Right: that is what was broken. Approving the first reversible fix of each issue:"
    jq -c --arg now "$(date -u +%FT%TZ)" '.issues[] | . as $issue
        | first(.proposed_fixes[] | select(.risk == "reversible"))
        | {issue_id: $issue.id, service: $issue.service, action, confidence, reasoning, parameters, risk, undo,
           identity: $issue.identity, docker_host: $issue.docker_host, approved_at: $now, by: "demo",
           fingerprint: $issue.fingerprint, cause: $issue.cause, pattern: $issue.pattern}' "$1" >"$approved"
    [[ -s $approved ]] || {
        say "[demo] No fix of it is reversible: it is for a person"
        return 10
    }
    dm-execute --plan "$approved" | plan
    carry_out "$approved" "$from"
}

watch() { # the resident pipe: it stays, and is started again when a command of it dies
    local every=30s metrics=() rest=() heal=''
    while (($#)); do
        case $1 in
        --every=*) every=${1#--every=} ;;
        --every) every=${2-} && shift ;;
        --heal) heal=1 ;;
        --metrics-file=*) metrics=("$1") ;;
        --metrics-file) metrics=("--metrics-file=${2-}") && shift ;;
        *) rest+=("$1") ;;
        esac
        shift || { complain "--every and --metrics-file want a value" && exit 2; }
    done
    settings
    sources ${rest[@]+"${rest[@]}"}
    local folder=$PROOFS_DIR/watch targets=0 telling=() healing=()
    PYTHONPATH=$root "$python" -P -m dm_tools.notify.config || targets=$?
    ((targets < 2)) || exit "$targets"
    ((targets)) || telling=(\| dm-notify --pass-on)
    begins "$every" "${rest[*]-}" "$heal" "$targets"
    [[ -z $heal ]] || healing=("--heal=$root/scripts/supervisor-session.sh" --heal=heal "--heal=--seen=$folder/round.jsonl")
    # What many threads have freed lies in many heaps; one is enough for who mostly waits.
    MALLOC_ARENA_MAX=1 PYTHONPATH=$root exec "$python" -P -m dm_tools.watch ${metrics[@]+"${metrics[@]}"} ${healing[@]+"${healing[@]}"} "$folder" "$every" -- \
        "${source_command[0]}" --every "$every" --through "$folder/status.json" "${source_command[@]:1}" \| \
        dm-probe \| dm-inspect \| dm-logs --every 5m \| dm-stats --every 5m \| \
        dm-analyze ${analyze_options[@]+"${analyze_options[@]}"} \| dm-propose \| \
        dm-report --html --when changed --keep 200 --proofs-dir "$folder" --pass-on \
        --kept-round "$folder/round.jsonl" \| \
        dm-incidents ${telling[@]+"${telling[@]}"}
}

begins() { # begins EVERY CHOSEN HEAL NO_TARGETS: to who watches at a terminal, what will be looked at, and how it is ended
    [[ -t 1 ]] || return 0
    local what="the services of $SERVICES_MANIFEST_PATH"
    [[ " ${source_command[*]} " != *" --discover "* ]] ||
        what="the containers of Docker at $(PYTHONPATH=$root "$python" -P -m dm_tools.engine.address 2>/dev/null)"
    local only=${2//--discover/}
    only=${only# }
    say "[supervisor] Watching $what${only:+ ($only)}, every $1 and when one of them changes"
    if [[ $3 ]]; then
        say "[supervisor] It does what your policy allows; what that is: $called policy"
    else
        say "[supervisor] It changes nothing; with --heal it does what your policy allows"
    fi
    if (($4)); then
        say "[supervisor] What begins and what is over is said here; to be told elsewhere: dm docs notify"
    else
        say "[supervisor] What begins and what is over is said here, and told to the targets of your notify.toml"
    fi
    say "[supervisor] Ctrl-C ends it; what it saw last: $called status"
}

status() { # what the watcher saw last
    settings
    PYTHONPATH=$root exec "$python" -P -m dm_tools.watch.status "$PROOFS_DIR" "$@"
}

proxy() { # haproxy before the engine that the others ask; everybody else is given its socket
    local config=haproxy engine bind usage="usage: $short proxy [--execute] [--bind unix:///PATH|HOST:PORT]"
    bind=unix://${XDG_RUNTIME_DIR:-/run}/dm-tools/docker.sock
    while (($#)); do
        case $1 in
        --execute) config=haproxy-execute ;;
        --bind) bind=${2-} && shift ;;
        *) complain "$usage" && exit 2 ;;
        esac
        shift || { complain "$usage" && exit 2; }
    done
    PATH=$PATH:/usr/sbin
    command -v haproxy >/dev/null || { complain "haproxy is not installed (apt-get install haproxy)" && exit 2; }
    engine=$(PYTHONPATH=$root "$python" -P -m dm_tools.engine.address) || exit
    case $engine in
    unix://*) engine=unix@${engine#unix://} ;;
    tcp://*) engine=${engine#tcp://} ;;
    *) complain "cannot stand before ${engine%%:*}://: the engine must be at unix:// or tcp://" && exit 2 ;;
    esac
    local words="DOCKER_HOST=$bind" address=$bind
    case $bind in
    unix:///*)
        bind=unix@${bind#unix://}
        mkdir -p "$(dirname "${bind#unix@}")" || exit 6
        ;;
    *:*) words="DOCKER_HOST=tcp://$bind: whoever reaches that address can look at every container" ;;
    *) complain "$usage" && exit 2 ;;
    esac
    heard() { PYTHONPATH=$root "$python" -P -m dm_tools.engine.accepts "$address"; }
    ! heard || { complain "somebody listens at $address already" && exit 2; } # haproxy would take a socket's name away
    {
        until heard; do
            kill -0 $$ 2>/dev/null || exit
            sleep 0.1
        done
        loud=1 say "[proxy] $words"
    } &
    DM_PROXY_BIND=$bind DM_PROXY_ENGINE=$engine exec haproxy -db -f "$configs/docker-proxy/$config.cfg"
}

run_tests() {
    with_root test "$@"
    local installed=test which=' and not slow' more=() status=0 beside printed
    # with --all also more kills, and examples that nobody has chosen
    [[ ${1:-} != --all ]] || { installed=all which='' more=(--kills 30 --hypothesis-profile default) && shift; }
    "$root/scripts/setup" "$installed" || exit
    cd "$root" || exit
    (($#)) && exec "$python" -m pytest ${which:+-m "${which# and }"} "${more[@]}" "$@"
    # The lab mostly waits for containers; what needs none takes the processors meanwhile, and gives way to the lab. Of the
    # lab itself two parts wait side by side (tests/conftest.py).
    printed=$(mktemp)
    nice -n 19 "$python" -m pytest -p no:cacheprovider -n 2 --dist loadgroup -m "not lab$which" "${more[@]}" >"$printed" 2>&1 &
    beside=$!
    # shellcheck disable=SC2064 # now is the time to expand
    trap "kill $beside 2>/dev/null; rm -f '$printed'" EXIT
    echo "[test] On containers; the tests without any run beside, what they say follows"
    "$python" -m pytest -p no:cacheprovider -n 2 --dist loadgroup -m "lab$which" || status=$?
    wait "$beside" || status=$?
    echo "[test] Without containers"
    cat "$printed"
    exit "$status"
}

command=${1:-help}
shift
if [[ $command == help && ${1:-help} != @(help|-h|--help) ]]; then
    help_of "$1" && exit
    command=$1 # no session: said below
fi
for word; do
    [[ $word != -- ]] || break
    [[ $word != @(-h|--help) ]] || { help_of "$command" && exit; }
done
case $command in
diagnose) diagnose "$@" ;;
diagnose-enhanced) diagnose_enhanced "$@" ;;
report) report "$@" ;;
tell) tell "$@" ;;
heal) heal "$@" ;;
incidents) incidents "$@" ;;
silence) silence "$@" ;;
review) review "$@" ;;
approve) approve "$@" ;;
policy) policy "$@" ;;
execute) execute "$@" ;;
verify) verify "$@" ;;
rollback) rollback "$@" ;;
watch) watch "$@" ;;
status) status "$@" ;;
proxy) proxy "$@" ;;
history)
    settings
    dm-history show "$@"
    ;;
demo) demo "$@" ;;
test) run_tests "$@" ;;
help | -h | --help) usage ;;
*)
    complain "unknown command '$command' ('$short help' lists them)"
    exit 2
    ;;
esac
