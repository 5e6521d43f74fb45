package client

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// PassFile reports that the system has no such thing.
func PassFile(*os.File, net.Conn) error {
	return fmt.Errorf("pass connection: %w", errors.ErrUnsupported)
}
