package daemon

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"knockd/internal/control"
)

// confinement is what this process may do.
func confinement() control.Confinement {
	name := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	c := control.Confinement{User: name, Capabilities: []string{}}
	if has, all, err := effective(); err == nil && has == all {
		c.Capabilities = nil
	} else if err == nil {
		for n := range 64 {
			if has&(1<<n) != 0 {
				c.Capabilities = append(c.Capabilities, capabilityName(n))
			}
		}
	}
	noGain, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	c.NoNewPrivileges = err == nil && noGain == 1
	return c
}

// effective returns the capabilities of this process, as bits, and those that the
// kernel knows.
func effective() (has, all uint64, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, 0, os.NewSyscallError("capget", err)
	}
	for n := range uintptr(64) {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, n, 0, 0, 0); err != nil { // behind the last one
			break
		}
		all |= 1 << n
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), all, nil
}

// capabilityNames are those of capabilities(7), by their numbers.
var capabilityNames = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
	LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
	SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
	AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

func capabilityName(n int) string {
	if n < len(capabilityNames) {
		return "CAP_" + capabilityNames[n]
	}
	return fmt.Sprintf("CAP_%d", n)
}
