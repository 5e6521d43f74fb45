//go:build !linux

package spa

// LeaveNoCore does nothing here: only with GOTRACEBACK=crash a Go program leaves
// a core dump.
func LeaveNoCore() {}
