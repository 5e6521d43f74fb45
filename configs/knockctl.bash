# Completion of knockctl(1) for bash: commands, options, doors and their values.
# Installed as share/bash-completion/completions/knockctl.

# The names of the doors in the configuration that the line names.
_knockctl_doors() {
    local file=/etc/knockd.conf i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | --config) file=${COMP_WORDS[i + 1]} ;;
        esac
    done
    sed -n 's/^[[:space:]]*\[\(.*\)\].*$/\1/p' "$file" 2>/dev/null | grep -vix options
}

# Offer those of the words that begin with what was typed. Not compgen -W, which
# runs commands in names.
_knockctl_choose() {
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

_knockctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev='' command=${COMP_WORDS[1]}
    if ((COMP_CWORD == 1)); then
        _knockctl_choose "check
            close
            doors
            confirm
            events
            explain
            export
            history
            import
            init
            kernel-log
            open
            reload
            status
            trial
            watch
            help -V --version -h --help"
        return
    fi
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --server | --name | --port | --rescue)
        if [[ $command == init || $command == open ]]; then return; fi
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --mode) _knockctl_choose "guard mark" && return ;;
    -c | --config | -g | --logfile | --output | --card | --socket | --svg)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --write)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    -i | --interface) _knockctl_choose "any $(command ls /sys/class/net 2>/dev/null)" && return ;;
    --hook) _knockctl_choose "input prerouting" && return ;;
    --flags) _knockctl_choose "syn syn,ack fin ack rst psh urg" && return ;;
    --color) _knockctl_choose "auto always never" && return ;;
    --door) _knockctl_choose "$(_knockctl_doors)" && return ;;
    --group | --address | --since | --for | --pid | --gap | --from | --to) return ;;
    esac
    case $command-$cur in
    status--*) _knockctl_choose "--json --all -w --watch --color --socket -h --help" ;;
    watch--*) _knockctl_choose "--json --door --address --color --socket -h --help" ;;
    history--*) _knockctl_choose "--json --since --door --color --socket -h --help" ;;
    doors--*) _knockctl_choose "--json --color --socket -h --help" ;;
    open--*) _knockctl_choose "--for --port --force --json --color --socket -h --help" ;;
    close--*) _knockctl_choose "--all --json --socket -h --help" ;;
    reload--*) _knockctl_choose "--pid --trial --json --socket -h --help" ;;
    check--*) _knockctl_choose "-c --config -i --interface --strict -h --help" ;;
    explain--*)
        _knockctl_choose "-c --config --door --address -i --interface -4 --only-ip-v4 --gap --flags --from --to --live --for --socket --show-sequences --json --svg -h --help"
        ;;
    export--*) _knockctl_choose "-c --config -i --interface --ipv6 --observe --hook --group --apply --remove -h --help" ;;
    events--*) _knockctl_choose "--json -h --help" ;;
    import--*) _knockctl_choose "--server --write -h --help" ;;
    init--*) _knockctl_choose "-c --config --port --name --server --rescue --mode --output --card -h --help" ;;
    trial--*) _knockctl_choose "-c --config --socket -h --help" ;;
    confirm--*) _knockctl_choose "--force --socket -h --help" ;;
    kernel-log--*) _knockctl_choose "--group -g --logfile -h --help" ;;
    open-* | close-*)
        if ((COMP_CWORD == 2)); then
            _knockctl_choose "$(_knockctl_doors)"
        fi
        ;;
    trial-*) if ((COMP_CWORD == 2)); then _knockctl_choose "5m"; fi ;;
    export-*)
        if ((COMP_CWORD == 2)); then
            _knockctl_choose "nftables iptables"
        else
            _knockctl_choose "$(_knockctl_doors)"
        fi
        ;;
    explain-*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    import-*)
        if ((COMP_CWORD == 2)); then
            _knockctl_choose "fwknop"
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
        ;;
    esac
}

complete -F _knockctl knockctl
