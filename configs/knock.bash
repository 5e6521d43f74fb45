# Completion of knock(1) for bash: profiles, hosts, options and their values.
# Installed as share/bash-completion/completions/knock.

_knock_profiles() {
    local file=${XDG_CONFIG_HOME:-$HOME/.config}/knock/config
    # The names in section lines, without patterns.
    sed -n 's/^[[:space:]]*\[\(.*\)\][[:space:]]*$/\1/p' "$file" 2>/dev/null | tr -s '[:blank:]' '\n' | grep -v '[*?]'
}

# Offer those of the words that begin with what was typed. Not compgen -W, which
# runs commands in names, nor what the shell would read anything into.
_knock_choose() {
    local IFS=$' \t\n' words word
    read -rd '' -a words <<<"$1"
    COMPREPLY=()
    for word in "${words[@]}"; do
        case $word in
        *[^[:alnum:]_.:,/@%+-]*) ;;
        "$cur"*) COMPREPLY+=("$word") ;;
        esac
    done
    return 0
}

_knock() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev='' word='' i
    ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD - 1]}
    local options="-u --udp -d --delay -4 --ipv4 -6 --ipv6 -v --verbose -V --version -h --help -w --wait --timeout
        --retry --both --flags --source --interface --one-time --sequence-file --profile --config --dry-run --explain --json"
    # The first word that is neither an option nor an option's value.
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -d | --delay | -w | --wait | --timeout | --retry | --flags | --source | --interface | --one-time | \
            --sequence-file | --profile | --config | -A | --access | -a | --allow-ip | -f | --fw-timeout | -p | \
            --server-port | -P | --server-proto | -S | --source-port | -N | --nat-access | --nat-port | --user | --digest | \
            --time-offset | --key-file | --key-client | -n | --named | --rc-file | --server | --client | --hmac | \
            --resolve-url | --stun) ((i++)) ;;
        -*) ;;
        *)
            word=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    case $prev in
    --one-time | --sequence-file | --config | --key-file | --rc-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -P | --server-proto) _knock_choose "udp tcp http tcpraw icmp" && return ;;
    -A | --access) _knock_choose "tcp/22 tcp/80 tcp/443" && return ;;
    --profile) _knock_choose "$(_knock_profiles)" && return ;;
    --flags) _knock_choose "fin syn rst psh ack urg syn,ack" && return ;;
    -w | --wait) _knock_choose "tcp/22 tcp/80 tcp/443" && return ;;
    --interface) _knock_choose "$(command ls /sys/class/net 2>/dev/null)" && return ;;
    -d | --delay | --timeout | --retry | --source) return ;;
    esac
    case $word in
    proxy) options+=" --fdpass" ;;
    spa) options+=" -A --access -a --allow-ip -s --source-ip -f --fw-timeout -p --server-port -P --server-proto
        -S --source-port -r --rand-port -N --nat-access --nat-local --nat-port --nat-rand-port --user --digest --time-offset
        --key-file --key-client -n --named --rc-file --ipv6-extension -R --resolve --resolve-url --stun" ;;
    keygen) options="--write --phone --profile --server --client -A --access --hmac --qr --config --help" ;;
    ssh-config) options="--match-exec --config --help" ;;
    profiles) options="--json --config --help" ;;
    ssh)
        # What follows the word is ssh's.
        if declare -F _command_offset >/dev/null; then
            _command_offset "$i"
            return
        fi
        ;;
    esac
    case $cur in
    -*) _knock_choose "$options" ;;
    *)
        case $word in
        "") _knock_choose "$(_knock_profiles) proxy ssh ssh-config spa keygen profiles $(compgen -A hostname)" ;;
        ssh-config) _knock_choose "$(_knock_profiles)" ;;
        proxy | ssh | spa) _knock_choose "$(_knock_profiles) $(compgen -A hostname)" ;;
        esac
        ;;
    esac
}

complete -F _knock knock
