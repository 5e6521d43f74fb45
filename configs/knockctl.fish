# Completion of knockctl(1) for fish: commands, options, doors and their values.
# Installed as share/fish/vendor_completions.d/knockctl.fish.

function __knockctl_interfaces
    echo any
    command ls /sys/class/net 2>/dev/null
end

# Whether the command is the one named and so many words follow it.
function __knockctl_after
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]; or return 1
    test (count $argv) = 1; or test (count $words) $argv[2] $argv[3]
end

function __knockctl_doors
    set -l file /etc/knockd.conf
    set -l words (commandline -opc)
    for i in (seq (count $words))
        contains -- $words[$i] -c --config; and set -q words[(math $i + 1)]; and set file $words[(math $i + 1)]
    end
    test -r $file; or return
    string replace -r -f '^\s*\[(.*)\].*$' '$1' <$file | string match -v -i options
end

complete -c knockctl -f
complete -c knockctl -n __fish_use_subcommand -a status -d 'say how knockd is, and who is in'
complete -c knockctl -n __fish_use_subcommand -a watch -d 'show what happens while it happens'
complete -c knockctl -n __fish_use_subcommand -a history -d 'say who was let in'
complete -c knockctl -n __fish_use_subcommand -a doors -d 'list the doors of a running knockd'
complete -c knockctl -n __fish_use_subcommand -a open -d 'open a door for an address'
complete -c knockctl -n __fish_use_subcommand -a close -d 'close a door, or all, before the time'
complete -c knockctl -n __fish_use_subcommand -a reload -d 'have knockd read its configuration'
complete -c knockctl -n __fish_use_subcommand -a check -d 'look for what is wrong with a configuration on this host'
complete -c knockctl -n __fish_use_subcommand -a explain -d 'say why a knock has opened a door or has not'
complete -c knockctl -n __fish_use_subcommand -a export -d 'compile doors into a ruleset'
complete -c knockctl -n __fish_use_subcommand -a events -d 'list the kinds of events'
complete -c knockctl -n __fish_use_subcommand -a import -d 'turn the configuration of fwknopd into doors'
complete -c knockctl -n __fish_use_subcommand -a init -d 'set up a door for this host'
complete -c knockctl -n __fish_use_subcommand -a trial -d 'put a configuration on trial'
complete -c knockctl -n __fish_use_subcommand -a confirm -d 'have what is on trial stay'
complete -c knockctl -n __fish_use_subcommand -a kernel-log -d 'write what such a ruleset logs'
complete -c knockctl -n __fish_use_subcommand -a help -d 'print help'
complete -c knockctl -n __fish_use_subcommand -s V -l version -d 'print the version'
complete -c knockctl -s h -l help -d 'print help'

for command in status watch history doors open close reload
    complete -c knockctl -n "__knockctl_after $command" -l json -d 'for programs'
    complete -c knockctl -n "__knockctl_after $command" -l socket -r -F -d 'the control socket'
end
for command in status watch history doors open
    complete -c knockctl -n "__knockctl_after $command" -l color -x -a 'auto always never' -d 'colours'
end
for command in open close
    complete -c knockctl -n "__knockctl_after $command -eq 2" -a '(__knockctl_doors)' -d door
end
complete -c knockctl -n '__knockctl_after open' -l for -x -d 'how long'
complete -c knockctl -n '__knockctl_after open' -l port -x -d 'a port that a knock would name'
complete -c knockctl -n '__knockctl_after open' -l force -d 'against allow and deny, for a network, for more than a day'
complete -c knockctl -n '__knockctl_after close' -l all -d 'all doors'
complete -c knockctl -n '__knockctl_after reload' -l trial -x -a 5m -d 'put it on trial for this time'
complete -c knockctl -n '__knockctl_after reload' -l pid -x -d 'the process that is meant'
complete -c knockctl -n '__knockctl_after status' -l all -d 'every door and everybody'
complete -c knockctl -n '__knockctl_after status' -s w -l watch -d 'look again every second'
complete -c knockctl -n '__knockctl_after watch' -l door -x -a '(__knockctl_doors)' -d 'at this door alone'
complete -c knockctl -n '__knockctl_after watch' -l address -x -d 'about this address alone'
complete -c knockctl -n '__knockctl_after history' -l door -x -a '(__knockctl_doors)' -d 'at this door alone'
complete -c knockctl -n '__knockctl_after history' -l since -x -d 'back to this time'

complete -c knockctl -n '__knockctl_after check' -s c -l config -r -F -d configuration
complete -c knockctl -n '__knockctl_after check' -s i -l interface -x -a '(__knockctl_interfaces)' -d 'what the daemon listens on'
complete -c knockctl -n '__knockctl_after check' -l strict -d 'status 3 if there is a warning or advice'

complete -c knockctl -n '__knockctl_after explain' -F
complete -c knockctl -n '__knockctl_after explain' -s c -l config -r -F -d configuration
complete -c knockctl -n '__knockctl_after explain' -l door -x -a '(__knockctl_doors)' -d 'tell of this door alone'
complete -c knockctl -n '__knockctl_after explain' -l address -x -d 'an address of the host'
complete -c knockctl -n '__knockctl_after explain' -s i -l interface -x -a '(__knockctl_interfaces)' -d 'whose addresses are the host\'s'
complete -c knockctl -n '__knockctl_after explain' -s 4 -l only-ip-v4 -d 'ignore IPv6'
complete -c knockctl -n '__knockctl_after explain' -l gap -x -d 'time between two knocks'
complete -c knockctl -n '__knockctl_after explain' -l flags -x -a 'syn syn,ack fin ack rst psh urg' -d 'of knocks by TCP'
complete -c knockctl -n '__knockctl_after explain' -l from -x -d 'who knocks'
complete -c knockctl -n '__knockctl_after explain' -l to -x -d 'what is knocked at'
complete -c knockctl -n '__knockctl_after explain' -l live -d 'tell of what comes now'
complete -c knockctl -n '__knockctl_after explain' -l for -x -d 'end after this time'
complete -c knockctl -n '__knockctl_after explain' -l socket -r -F -d 'control socket of knockd'
complete -c knockctl -n '__knockctl_after explain' -l show-sequences -d 'name ports of sequences, too'
complete -c knockctl -n '__knockctl_after explain' -l json -d 'for programs'
complete -c knockctl -n '__knockctl_after explain' -l svg -r -F -d 'draw a picture in this file'

complete -c knockctl -n '__knockctl_after export -eq 2' -a 'nftables iptables'
complete -c knockctl -n '__knockctl_after export -gt 2' -a '(__knockctl_doors)' -d door
complete -c knockctl -n '__knockctl_after export' -s c -l config -r -F -d configuration
complete -c knockctl -n '__knockctl_after export' -s i -l interface -x -a '(__knockctl_interfaces)' -d 'knocks count on this interface'
complete -c knockctl -n '__knockctl_after export' -l ipv6 -d 'iptables: the file for ip6tables-restore'
complete -c knockctl -n '__knockctl_after export' -l observe -d 'watch knocks in place of dropping them'
complete -c knockctl -n '__knockctl_after export' -l hook -x -a 'input prerouting' -d 'where the rules stand'
complete -c knockctl -n '__knockctl_after export' -l group -x -d 'NFLOG group'
complete -c knockctl -n '__knockctl_after export' -l apply -d 'load the ruleset'
complete -c knockctl -n '__knockctl_after export' -l remove -d 'take it out of the kernel'

complete -c knockctl -n '__knockctl_after events' -l json -d 'an object a line'

complete -c knockctl -n '__knockctl_after import -eq 2' -a fwknop
complete -c knockctl -n '__knockctl_after import -gt 2' -F
complete -c knockctl -n '__knockctl_after import' -l server -r -F -d 'fwknopd.conf'
complete -c knockctl -n '__knockctl_after import' -l write -x -a '(__fish_complete_directories)' -d 'write files into this directory'

complete -c knockctl -n '__knockctl_after init' -s c -l config -r -F -d configuration
complete -c knockctl -n '__knockctl_after init' -l port -x -d 'TCP port that the door opens'
complete -c knockctl -n '__knockctl_after init' -l name -x -d 'name of the door'
complete -c knockctl -n '__knockctl_after init' -l server -x -d 'by which knockers reach this host'
complete -c knockctl -n '__knockctl_after init' -l rescue -x -d 'networks that need no knock'
complete -c knockctl -n '__knockctl_after init' -l mode -x -a 'guard mark' -d 'in place of what suits the firewall'
complete -c knockctl -n '__knockctl_after init' -l output -r -F -d 'write to this file'
complete -c knockctl -n '__knockctl_after init' -l card -r -F -d 'write a rescue card to this file'

complete -c knockctl -n '__knockctl_after trial -eq 2' -a 5m
complete -c knockctl -n '__knockctl_after trial' -s c -l config -r -F -d configuration
complete -c knockctl -n '__knockctl_after trial' -l socket -r -F -d 'the control socket'
complete -c knockctl -n '__knockctl_after confirm' -l force -d 'although you did not come in through a door'
complete -c knockctl -n '__knockctl_after confirm' -l socket -r -F -d 'the control socket'

complete -c knockctl -n '__knockctl_after kernel-log' -l group -x -d 'NFLOG group'
complete -c knockctl -n '__knockctl_after kernel-log' -s g -l logfile -r -F -d 'append to this file'
