package main

import (
	"os/exec"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

func TestHint(t *testing.T) {
	for uid, want := range map[int]string{
		1000: "this machine does not let users do that: sudo bin/demo bin",
		0:    "this container lets nobody do that: it needs CAP_SYS_ADMIN and CAP_NET_ADMIN",
	} {
		if got := hint(uid, []string{"bin/demo", "bin"}); got != want {
			t.Errorf("user %d: %s", uid, got)
		}
	}
	// What root is told to run is there when make has told it.
	nettest.NeedProgram(t, "make")
	recipe, err := exec.Command("make", "-n", "--no-print-directory", "-C", "../..", "demo").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(recipe), "\nbin/demo bin\n") {
		t.Errorf("make demo ends with\n%s", recipe)
	}
}
