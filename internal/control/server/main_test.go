package server

import (
	"os"
	"testing"

	"knockd/internal/nettest"
)

func TestMain(m *testing.M) {
	nettest.Umask()
	os.Exit(m.Run())
}
