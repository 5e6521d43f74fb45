package server

import (
	"context"
	"strings"

	"knockd/internal/control"
)

// serviceInterface is what every Varlink service speaks.
const serviceInterface = "org.varlink.service"

// serviceDescription is that interface, as the protocol defines it, with the
// one error that systemd has added and means.
const serviceDescription = `# What every Varlink service answers.
interface org.varlink.service

# Who answers.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# An interface in Varlink's own language.
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)

error MethodNotFound (method: string)

error MethodNotImplemented (method: string)

error InvalidParameter (parameter: string)

# The method takes "more".
error ExpectedMore ()
`

// info is the reply of GetInfo.
type info struct {
	Vendor     string   `json:"vendor"`
	Product    string   `json:"product"`
	Version    string   `json:"version"`
	URL        string   `json:"url"`
	Interfaces []string `json:"interfaces"`
}

// withService adds the methods of every service.
func (s *Server) withService(methods map[string]Method) map[string]Method {
	all := map[string]Method{
		serviceInterface + ".GetInfo":                 {Rank: control.Reader, Do: s.getInfo},
		serviceInterface + ".GetInterfaceDescription": {Rank: control.Reader, Do: describe},
	}
	for name, m := range methods {
		all[name] = m
	}
	return all
}

func (s *Server) getInfo(_ context.Context, c *Call) error {
	if err := c.Args(nil); err != nil {
		return err
	}
	return c.Reply(info{"knockd", "knockd", s.o.Version, "man:knockctl(1)", []string{serviceInterface, control.Interface}})
}

func describe(_ context.Context, c *Call) error {
	name := ""
	if err := c.Args(map[string]any{"interface": &name}); err != nil {
		return err
	}
	switch name {
	case serviceInterface:
		return c.Reply(map[string]string{"description": serviceDescription})
	case control.Interface:
		return c.Reply(map[string]string{"description": control.Description})
	}
	return Invalid("interface")
}

// unknown returns the error of a method that there is not.
func unknown(method string) error {
	i := strings.LastIndexByte(method, '.')
	if i < 0 {
		return Invalid("method")
	}
	if name := method[:i]; name != serviceInterface && name != control.Interface {
		return &protocolError{"InterfaceNotFound", map[string]string{"interface": name}}
	}
	return &protocolError{"MethodNotFound", map[string]string{"method": method}}
}
