package nft

import (
	"fmt"
	"os"
	"time"

	"knockd/internal/knock"
)

// childArg makes the test binary run as a program that holds the guard.
const childArg = "nft-child"

// child opens the door ssh for the addresses given and lives on.
func child(addresses []string) int {
	f, err := New(Options{})
	if err == nil {
		_, err = f.Ensure([]Door{{DoorID: knock.DoorID{Name: "ssh"}, Ports: []knock.PortRange{{Proto: 6, First: 22, Last: 22}}, Timeout: 20 * time.Second}})
	}
	for _, a := range addresses {
		if err == nil {
			_, err = f.Open(Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(a)})
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	return 0
}
