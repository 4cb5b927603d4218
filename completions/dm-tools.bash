# shellcheck shell=bash
# bash completion for dm-tools; printed by scripts/man. Use: source completions/dm-tools.bash

_dm_tools() {
    local words='' name=${1##*/}
    if [[ $name == dm ]]; then
        if ((COMP_CWORD == 1)); then
            # shellcheck disable=SC2207 # one word each, none has spaces
            COMPREPLY=($(compgen -W 'diagnose diagnose-enhanced watch status tell heal incidents silence report review approve policy execute verify rollback proxy history demo test analyze approve brief condense execute history incidents inspect learn llm logs notify probe propose redact report review schema screenshot serve services show stats tool undo verify docs completion help' -- "$2"))
            return
        fi
        name=dm-${COMP_WORDS[1]#dm-}
        [[ ' diagnose diagnose-enhanced watch status tell heal incidents silence report review approve policy execute verify rollback proxy history demo test ' != *" ${COMP_WORDS[1]} "* ]] || name=supervisor-session.sh
    fi
    case $name:${3-} in
    dm-analyze:--engine) words='auto rules hybrid llm' ;;
    dm-analyze:--fail-on) words='unhealthy failed degraded any' ;;
    dm-analyze:--on-bad) words='report skip fail' ;;
    dm-analyze:*) words='--agent --engine --explain --fail-on --help --max-steps --on-bad --output --patterns --quiet --verbose --version' ;;
    dm-approve:*) words='--accept --dry-run --explain --help --history --last --output --policy --promotions --proofs-dir --quiet --rehearse --revoke --verbose --version' ;;
    dm-brief:--on-bad) words='report skip fail' ;;
    dm-brief:*) words='--help --on-bad --output --quiet --tokens --verbose --version' ;;
    dm-condense:--on-bad) words='report skip fail' ;;
    dm-condense:*) words='--help --on-bad --output --patterns --quiet --service --text --verbose --version' ;;
    dm-execute:--wait) words='running healthy' ;;
    dm-execute:*) words='--deadline --help --output --plan --proofs-dir --quiet --resume --services --settle --verbose --version --wait' ;;
    dm-history:*) words='--all --embedded --help --json --keep --output --patterns --policy --proofs-dir --quiet --verbose --version' ;;
    dm-incidents:--on-bad) words='report skip fail' ;;
    dm-incidents:--stopped) words='hurting all none' ;;
    dm-incidents:*) words='--for --help --host --incident --json --label --on-bad --open-after --output --project --proofs-dir --quiet --recover-after --stopped --verbose --version --weekly --why' ;;
    dm-inspect:--on-bad) words='report skip fail' ;;
    dm-inspect:--when) words='always unhealthy' ;;
    dm-inspect:*) words='--help --jobs --keep-order --on-bad --output --quiet --timeout --verbose --version --when --window' ;;
    dm-learn:--on-bad) words='report skip fail' ;;
    dm-learn:*) words='--accept --drop --help --on-bad --output --patterns --proofs-dir --quiet --verbose --version' ;;
    dm-llm:*) words='--context --help --model --output --parallel --port --quiet --template --verbose --version' ;;
    dm-logs:--on-bad) words='report skip fail' ;;
    dm-logs:--when) words='always unhealthy' ;;
    dm-logs:*) words='--every --follow --grep --help --jobs --keep-order --max-bytes --on-bad --output --quiet --since --tail --timeout --until --verbose --version --when' ;;
    dm-notify:*) words='--config --dry-run --help --output --page --pass-on --proofs-dir --quiet --test --verbose --version' ;;
    dm-probe:--fail-on) words='unhealthy failed degraded any' ;;
    dm-probe:--on-bad) words='report skip fail' ;;
    dm-probe:-X|dm-probe:--request) words='GET HEAD OPTIONS' ;;
    dm-probe:*) words='--expect --fail-on --header --help --insecure --jobs --keep-order --on-bad --output --quiet --request --retries --timeout --verbose --version' ;;
    dm-propose:--on-bad) words='report skip fail' ;;
    dm-propose:*) words='--help --history --on-bad --output --quiet --verbose --version' ;;
    dm-redact:--on-bad) words='report skip fail' ;;
    dm-redact:*) words='--help --on-bad --output --quiet --text --verbose --version' ;;
    dm-report:--fail-on) words='unhealthy failed degraded any' ;;
    dm-report:--on-bad) words='report skip fail' ;;
    dm-report:--when) words='always changed' ;;
    dm-report:*) words='--again --executed --fail-on --help --html --keep --kept-round --on-bad --output --pass-on --proofs-dir --quiet --run-path --verbose --version --when' ;;
    dm-review:*) words='--approve --help --output --proofs-dir --quiet --undo --verbose --version' ;;
    dm-schema:*) words='--help --output --quiet --verbose --version' ;;
    dm-screenshot:--on-bad) words='report skip fail' ;;
    dm-screenshot:--when) words='always unhealthy' ;;
    dm-screenshot:*) words='--dom --every --full-page --header-file --help --jobs --keep-order --ocr --on-bad --output --proofs-dir --quiet --timeout --verbose --version --viewport --wait --when' ;;
    dm-serve:--mcp) words='stdio' ;;
    dm-serve:*) words='--allow-host --bind --help --inventory --mcp --output --proofs-dir --quiet --token-file --tools --verbose --version' ;;
    dm-services:*) words='--context --discover --docker-host --every --file --filter --help --host --hosts-file --manifest --output --project --quiet --through --timeout --verbose --version' ;;
    dm-show:--color|dm-show:--colour) words='auto always never' ;;
    dm-show:*) words='--color --colour --cost --help --output --overview --proofs-dir --quiet --verbose --version --why' ;;
    dm-stats:--on-bad) words='report skip fail' ;;
    dm-stats:--when) words='always unhealthy' ;;
    dm-stats:*) words='--every --help --jobs --keep-order --on-bad --output --quiet --timeout --verbose --version --when' ;;
    dm-tool:*) words='--help --inventory --json --list --output --proofs-dir --quiet --tools --verbose --version' ;;
    dm-undo:*) words='--help --output --plan --proofs-dir --quiet --verbose --version' ;;
    dm-verify:--fail-on) words='not-recovered' ;;
    dm-verify:--on-bad) words='report skip fail' ;;
    dm-verify:*) words='--before --executed --fail-on --help --on-bad --output --quiet --verbose --version' ;;
    dm-docs:*) words='readme deploy docker-proxy engines execute history hosts llm manifest notify policy scoreboard security serve ssh tools watch notify.toml policy.toml services_manifest.example.json' ;;
    dm-completion:*) words='bash zsh fish' ;;
    dm-help:*) words='diagnose diagnose-enhanced watch status tell heal incidents silence report review approve policy execute verify rollback proxy history demo test analyze approve brief condense execute history incidents inspect learn llm logs notify probe propose redact report review schema screenshot serve services show stats tool undo verify' ;;
    supervisor-session.sh:*)
        ((COMP_CWORD > 1)) || words='diagnose diagnose-enhanced watch status tell heal incidents silence report review approve policy execute verify rollback proxy history demo test help'
        case $((COMP_CWORD > 1)):${COMP_WORDS[1]} in
        1:diagnose) words='--discover --project --file --filter --host --context --help' ;;
        1:diagnose-enhanced) words='--discover --project --file --filter --host --context --engine --agent --no-screenshots --help' ;;
        1:watch) words='--discover --project --file --filter --host --context --heal --every --metrics-file --help' ;;
        1:status) words='--json --help' ;;
        1:tell) words='--discover --project --file --filter --host --context --engine --agent --no-screenshots --help' ;;
        1:heal) words='--discover --project --file --filter --host --context --engine --agent --no-screenshots --help' ;;
        1:incidents) words='list unsilence --json --help' ;;
        1:silence) words='--for --why --help' ;;
        1:report) words='--json --help' ;;
        1:review) words='--approve --undo --help' ;;
        1:approve) words='--help' ;;
        1:policy) words='explain rehearse promotions accept revoke --json --help' ;;
        1:execute) words='--yes --undo-if-worse --help' ;;
        1:verify) words='--help' ;;
        1:rollback) words='last --yes --help' ;;
        1:proxy) words='--execute --bind --help' ;;
        1:history) words='--json --help' ;;
        1:demo) words='database-down wrong-password oom-restart-loop disk-full missing-env port-conflict expired-certificate bad-command frozen --heal --help' ;;
        1:test) words='--all --help' ;;
        1:help) words='diagnose diagnose-enhanced watch status tell heal incidents silence report review approve policy execute verify rollback proxy history demo test' ;;
        esac
        [[ ${3-} != --engine ]] || words='auto rules hybrid llm'
        ;;
    esac
    if [[ $name == @(dm-inspect|dm-logs|dm-probe|dm-screenshot|dm-services|dm-stats) || ($name == supervisor-session.sh && ${COMP_WORDS[1]} == @(diagnose|diagnose-enhanced|history|silence|tell|watch)) ]] &&
        [[ $2 != -* && ${3-} != -* ]]; then
        words=$(dm completion services 2>/dev/null)
    fi
    # shellcheck disable=SC2207 # one word each, none has spaces
    COMPREPLY=($(compgen -W "$words" -- "$2"))
}
complete -o default -F _dm_tools dm dm-analyze dm-approve dm-brief dm-condense dm-execute dm-history dm-incidents dm-inspect dm-learn dm-llm dm-logs dm-notify dm-probe dm-propose dm-redact dm-report dm-review dm-schema dm-screenshot dm-serve dm-services dm-show dm-stats dm-tool dm-undo dm-verify supervisor-session.sh
