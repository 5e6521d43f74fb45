# Completion of knockd(1) for fish: options and their values.
# Installed as share/fish/vendor_completions.d/knockd.fish.

function __knockd_interfaces
    echo any
    command ls /sys/class/net 2>/dev/null
end

complete -c knockd -f
complete -c knockd -s i -l interface -x -a '(__knockd_interfaces)' -d 'listen on this interface'
complete -c knockd -s d -l daemon -d 'run as a daemon'
complete -c knockd -s c -l config -r -F -d configuration
complete -c knockd -s D -l debug -d 'say every packet that could be a knock'
complete -c knockd -s l -l lookup -d 'look up host names for the log'
complete -c knockd -s p -l pidfile -r -F -d 'pid file'
complete -c knockd -s g -l logfile -r -F -d 'log file'
complete -c knockd -s v -l verbose -d 'say what happens'
complete -c knockd -s 4 -l only-ip-v4 -d 'ignore IPv6'
complete -c knockd -s t -l check -d 'check the configuration'
complete -c knockd -s T -l effective -d 'print the configuration as it takes effect'
complete -c knockd -s r -l read -r -F -d 'decide on a capture file'
complete -c knockd -l address -x -d 'a local address, for --read'
complete -c knockd -l close-all -d 'close what a stopped daemon has left open'
complete -c knockd -l force -d 'with --close-all and --cleanup: whatever stands against it'
complete -c knockd -l guard -d 'close the ports of native doors'
complete -c knockd -l cleanup -d 'take all out of the kernel'
complete -c knockd -s V -l version -d 'print the version'
complete -c knockd -s h -l help -d 'print help'
