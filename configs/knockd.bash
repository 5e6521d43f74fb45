# Completion of knockd(1) for bash: options and their values.
# Installed as share/bash-completion/completions/knockd.

# Offer those of the words that begin with what was typed. Not compgen -W, which
# runs commands in names.
_knockd_choose() {
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

_knockd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=''
    ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    -i | --interface) _knockd_choose "any $(command ls /sys/class/net 2>/dev/null)" ;;
    -c | --config | -p | --pidfile | -g | --logfile | -r | --read) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    --address) ;;
    *) _knockd_choose "-i --interface -d --daemon -c --config -D --debug -l --lookup -p --pidfile -g --logfile -v --verbose
        -4 --only-ip-v4 -t --check -T --effective -r --read --address --close-all --force --guard --cleanup -V --version -h --help" ;;
    esac
}

complete -F _knockd knockd
