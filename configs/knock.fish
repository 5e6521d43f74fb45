# Completion of knock(1) for fish: profiles, hosts, options and their values.
# Installed as share/fish/vendor_completions.d/knock.fish.

function __knock_profiles
    set -l dir $XDG_CONFIG_HOME
    test -n "$dir"; or set dir $HOME/.config
    test -r $dir/knock/config; or return
    # The names in section lines, without patterns.
    string match -r '^\s*\[.*\]\s*$' <$dir/knock/config | string trim -c ' []' | string split ' ' | string match -v -r '[*?]'
end

# The first word that is neither an option nor an option's value.
function __knock_word
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case -d --delay -w --wait --timeout --retry --flags --source --interface --one-time --sequence-file --profile --config \
                -A --access -a --allow-ip -f --fw-timeout -p --server-port -P --server-proto -S --source-port -N --nat-access \
                --nat-port --user --digest --time-offset --key-file --key-client -n --named --rc-file --server --client --hmac --resolve-url --stun
                set skip 1
            case '-*'
            case '*'
                echo $word
                return
        end
    end
    return 1
end

function __knock_first
    not __knock_word >/dev/null
end

function __knock_after
    set -l word (__knock_word); and contains -- $word $argv
end

function __knock_interfaces
    command ls /sys/class/net 2>/dev/null
end

complete -c knock -f
complete -c knock -n __knock_first -a '(__knock_profiles)' -d profile
complete -c knock -n __knock_first -a '(__fish_print_hostnames)' -d host
complete -c knock -n __knock_first -a proxy -d 'knock, then carry a connection'
complete -c knock -n __knock_first -a ssh -d 'knock, then log in'
complete -c knock -n __knock_first -a ssh-config -d 'print lines for ~/.ssh/config'
complete -c knock -n __knock_first -a spa -d 'ask with one encrypted packet'
complete -c knock -n __knock_first -a keygen -d 'make keys for that'
complete -c knock -n __knock_first -a profiles -d 'list the profiles'
complete -c knock -n '__knock_after proxy ssh ssh-config spa' -a '(__knock_profiles)' -d profile
complete -c knock -n '__knock_after proxy ssh spa' -a '(__fish_print_hostnames)' -d host
complete -c knock -n '__knock_after proxy' -l fdpass -d 'hand the connection over to ssh'
complete -c knock -n '__knock_after ssh-config' -l match-exec -d 'print a Match block'

complete -c knock -s u -l udp -d 'all hits are UDP'
complete -c knock -s d -l delay -x -d 'pause between hits, in milliseconds'
complete -c knock -s 4 -l ipv4 -d 'use IPv4'
complete -c knock -s 6 -l ipv6 -d 'use IPv6'
complete -c knock -l both -d 'knock on both families'
complete -c knock -s v -l verbose -d 'say each hit'
complete -c knock -s V -l version -d 'print the version'
complete -c knock -s h -l help -d 'print help'
complete -c knock -s w -l wait -x -a 'tcp/22 tcp/80 tcp/443' -d 'wait until a port is open'
complete -c knock -l timeout -x -d 'how long to wait, in seconds'
complete -c knock -l retry -x -d 'how often to knock again'
complete -c knock -l flags -x -a 'fin syn rst psh ack urg syn,ack' -d 'TCP flags of the hits'
complete -c knock -l source -x -d 'knock from this address'
complete -c knock -l interface -x -a '(__knock_interfaces)' -d 'knock through this interface'
complete -c knock -l one-time -r -F -d 'take the next unused sequence'
complete -c knock -l sequence-file -r -F -d 'read the sequence'
complete -c knock -l profile -x -a '(__knock_profiles)' -d 'use this profile'
complete -c knock -l config -r -F -d 'read this configuration'
complete -c knock -l dry-run -d 'send nothing'
complete -c knock -l explain -d 'say what came back of each packet'
complete -c knock -l json -d 'print the outcome as JSON'

complete -c knock -n '__knock_after spa keygen' -s A -l access -x -a 'tcp/22 tcp/80 tcp/443' -d 'ports to ask for'
complete -c knock -n '__knock_after spa' -s a -l allow-ip -x -d 'address to ask for'
complete -c knock -n '__knock_after spa' -s s -l source-ip -d 'ask for the address of the packet'
complete -c knock -n '__knock_after spa' -s f -l fw-timeout -x -d 'time to ask for, in seconds'
complete -c knock -n '__knock_after spa' -s p -l server-port -x -d 'port to send to'
complete -c knock -n '__knock_after spa' -s P -l server-proto -x -a 'udp tcp http tcpraw icmp' -d 'how to send'
complete -c knock -n '__knock_after spa' -s S -l source-port -x -d 'port to send from'
complete -c knock -n '__knock_after spa' -s r -l rand-port -d 'send to a random port'
complete -c knock -n '__knock_after spa' -s N -l nat-access -x -d 'host and port behind the server'
complete -c knock -n '__knock_after spa' -l nat-local -d 'a port of the server'
complete -c knock -n '__knock_after spa' -l nat-port -x -d 'outer port'
complete -c knock -n '__knock_after spa' -l nat-rand-port -d 'random outer port'
complete -c knock -n '__knock_after spa' -l user -x -d 'user name in the packet'
complete -c knock -n '__knock_after spa' -l digest -x -a 'md5 sha1 sha256 sha384 sha512' -d 'digest of the message'
complete -c knock -n '__knock_after spa' -l time-offset -x -d 'add to the clock'
complete -c knock -n '__knock_after spa' -l key-file -r -F -d 'read the keys'
complete -c knock -n '__knock_after spa' -l key-client -x -d 'section of the key file'
complete -c knock -n '__knock_after spa' -s n -l named -x -d 'stanza of .fwknoprc'
complete -c knock -n '__knock_after spa' -l rc-file -r -F -d 'read this .fwknoprc'
complete -c knock -n '__knock_after spa' -l ipv6-extension -d 'ask for an IPv6 address'
complete -c knock -n '__knock_after spa' -s R -l resolve -d 'open for the address that a web site sees'
complete -c knock -n '__knock_after spa' -l resolve-url -x -d 'the site'
complete -c knock -n '__knock_after spa' -l stun -x -d 'ask this STUN server'
complete -c knock -n '__knock_after keygen' -l write -d 'write key file and profile here'
complete -c knock -n '__knock_after keygen' -l phone -d 'make keys for a phone'
complete -c knock -n '__knock_after keygen' -l server -x -a '(__fish_print_hostnames)' -d 'name of the server'
complete -c knock -n '__knock_after keygen' -l client -x -d 'name of the client'
complete -c knock -n '__knock_after keygen' -l hmac -x -a 'md5 sha1 sha256 sha384 sha512' -d 'type of the HMAC'
complete -c knock -n '__knock_after keygen' -l qr -d 'print the code everywhere'
