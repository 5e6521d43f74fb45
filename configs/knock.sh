#!/bin/sh
# Knock at a host's ports, on a machine that has no knock(1).
#
#   knock.sh HOST PORT[:tcp|:udp] ...
#   knock.sh server.example.com 7000 8000:udp 9000 && ssh server.example.com
#
# It uses what is there: nmap, nc or bash. KNOCK_WITH=nc picks one of them.
# For each knock it starts a connection, gives it a moment, and ends it, before
# it goes on to the next one: so the knocks arrive in order, and the kernel
# does not get to repeat a knock that nobody answers (Linux does so after one
# second), which knockd would take for a wrong one.
#
# What knock can do and this cannot: wait until the door is open, knock again
# if a packet was lost, take one-time sequences, send TCP flags of your choice,
# keep the sequence out of the list of processes.

# Pause after each knock, in seconds. KNOCK_PAUSE=1 if your sleep takes only
# whole numbers or the path is slow.
pause=${KNOCK_PAUSE:-0.2}

usage() {
    echo "usage: knock.sh HOST PORT[:tcp|:udp] ..." >&2
    exit 1
}

# The first tool that is there, for a protocol. nmap sends UDP only as root.
tool() {
    if [ -n "$KNOCK_WITH" ]; then
        echo "$KNOCK_WITH"
        return
    fi
    for t in nc bash nmap; do
        if command -v "$t" >/dev/null 2>&1; then
            echo "$t"
            return
        fi
    done
    echo "knock.sh: none of nc, bash, nmap is installed" >&2
    echo "knock.sh: hint: any program that connects will do, such as curl or a browser: http://HOST:PORT/" >&2
    exit 1
}

# Send one knock: start the tool, give it the pause, end it. The exec makes
# the tool itself what is ended.
knock() {
    host=$1 port=$2 proto=$3 six=
    case $host in *:*) six=-6 ;; esac
    case $with-$proto in
    nc-tcp) exec nc -n -z "$host" "$port" ;;
    nc-udp)
        exec nc -n -u "$host" "$port" <<EOF

EOF
        ;;
    bash-tcp) exec bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$host" "$port" ;;
    bash-udp) exec bash -c 'printf . >"/dev/udp/$0/$1"' "$host" "$port" ;;
    # One probe, no look-up, no check whether the host is up.
    nmap-tcp) exec nmap $six -n -Pn --max-retries 0 --host-timeout 5 -p "$port" "$host" ;;
    nmap-udp) exec nmap $six -n -Pn --max-retries 0 --host-timeout 5 -sU -p "$port" "$host" ;;
    esac >/dev/null 2>&1 </dev/null &
    sleep "$pause"
    kill $! 2>/dev/null
    wait $! 2>/dev/null
    return 0 # how it ended says nothing: nobody is meant to answer
}

[ $# -ge 2 ] || usage
host=$1
shift
with=$(tool) || exit 1

# Check all before the first packet leaves.
for knock in "$@"; do
    port=${knock%%:*} proto=tcp
    case $knock in
    *:udp) proto=udp ;;
    *:tcp) ;;
    *:*) usage ;;
    esac
    case $port in
    '' | *[!0-9]*) usage ;;
    esac
    if [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then
        echo "knock.sh: port $port: must be between 1 and 65535" >&2
        exit 1
    fi
done

# Find the address once, so that all knocks go to the same host.
if command -v getent >/dev/null 2>&1; then
    address=$(getent ahosts "$host" | { read -r first _ && echo "$first"; })
    if [ -z "$address" ]; then
        echo "knock.sh: unknown host $host" >&2
        exit 2
    fi
    host=$address
fi

for knock in "$@"; do
    case $knock in
    *:udp) knock "$host" "${knock%%:*}" udp ;;
    *) knock "$host" "${knock%%:*}" tcp ;;
    esac
done
