# shellcheck shell=bash
# bash completion for dm-tools; printed by scripts/man. Use: source completions/dm-tools.bash

_dm_tools() {
    local words=
    case ${1##*/} in
    dm-analyze) words='--agent --engine --explain --fail-on --help --max-steps --on-bad --patterns --version' ;;
    dm-brief) words='--help --on-bad --tokens --version' ;;
    dm-condense) words='--help --on-bad --patterns --service --text --version' ;;
    dm-execute) words='--deadline --help --plan --proofs-dir --resume --services --settle --version --wait' ;;
    dm-inspect) words='--help --jobs --keep-order --on-bad --timeout --version --when --window' ;;
    dm-llm) words='--context --help --model --parallel --port --template --version' ;;
    dm-logs) words='--every --help --jobs --keep-order --max-bytes --on-bad --since --tail --timeout --version --when' ;;
    dm-probe) words='--fail-on --help --jobs --keep-order --on-bad --timeout --version' ;;
    dm-propose) words='--help --on-bad --version' ;;
    dm-redact) words='--help --on-bad --text --version' ;;
    dm-report) words='--again --fail-on --help --html --keep --on-bad --proofs-dir --run-path --version --when' ;;
    dm-review) words='--help --proofs-dir --version' ;;
    dm-schema) words='--help --version' ;;
    dm-screenshot) words='--dom --every --full-page --header-file --help --jobs --keep-order --ocr --on-bad --proofs-dir --timeout --version --viewport --wait --when' ;;
    dm-serve) words='--allow-host --bind --help --inventory --mcp --proofs-dir --token-file --tools --version' ;;
    dm-services) words='--discover --docker-host --every --help --manifest --through --timeout --version' ;;
    dm-show) words='--cost --help --overview --version --why' ;;
    dm-stats) words='--every --help --jobs --keep-order --on-bad --timeout --version --when' ;;
    dm-tool) words='--help --inventory --json --list --tools --version' ;;
    dm-undo) words='--help --plan --proofs-dir --version' ;;
    dm-verify) words='--before --executed --fail-on --help --on-bad --version' ;;
    supervisor-session.sh) words='diagnose diagnose-enhanced report review execute verify rollback watch status proxy demo test help --discover' ;;
    esac
    # shellcheck disable=SC2207 # one word each, none has spaces
    COMPREPLY=($(compgen -W "$words" -- "$2"))
}
complete -o default -F _dm_tools dm-analyze dm-brief dm-condense dm-execute dm-inspect dm-llm dm-logs dm-probe dm-propose dm-redact dm-report dm-review dm-schema dm-screenshot dm-serve dm-services dm-show dm-stats dm-tool dm-undo dm-verify supervisor-session.sh
