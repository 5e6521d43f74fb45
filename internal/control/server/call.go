package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"knockd/internal/control"
)

// Call is one call of a method.
type Call struct {
	Peer Peer
	More bool // the caller takes several replies

	method     string
	parameters map[string]json.RawMessage
	oneway     bool
	last       bool // the reply under way is the last one
	send       func([]byte) error
}

// message is a call as it is sent.
type message struct {
	Method     string                     `json:"method"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	More       bool                       `json:"more"`
	Oneway     bool                       `json:"oneway"`
	Upgrade    bool                       `json:"upgrade"`
}

// parseCall reads a call. An error is that of a peer that speaks something else.
func parseCall(text []byte) (*Call, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("read a call: %w", err)
	}
	if m.Method == "" {
		return nil, errors.New("read a call: it names no method")
	}
	if m.Upgrade {
		return nil, errors.New("read a call: it asks for another protocol")
	}
	return &Call{method: m.Method, parameters: m.Parameters, More: m.More && !m.Oneway, oneway: m.Oneway}, nil
}

// Args reads the parameters into fields, by their names. Those that are absent
// or null stay as they are. One that is not there, or does not take what is
// given, is an error of the protocol: what is not understood is not left out, for
// it might have narrowed what is done.
func (c *Call) Args(fields map[string]any) error {
	for name, value := range c.parameters {
		field, known := fields[name]
		if !known {
			return Invalid(name)
		}
		if bytes.Equal(value, []byte("null")) {
			continue
		}
		if err := json.Unmarshal(value, field); err != nil {
			return Invalid(name)
		}
	}
	return nil
}

// Selection reads what narrows a call.
func (c *Call) Selection() (s control.Selection, err error) {
	err = c.Args(map[string]any{"door": &s.Door, "address": &s.Address})
	s.Address = s.Address.Unmap().WithZone("")
	return s, err
}

// Invalid returns the error of a parameter.
func Invalid(parameter string) error {
	return &protocolError{"InvalidParameter", map[string]string{"parameter": parameter}}
}

// Reply sends the only or last reply.
func (c *Call) Reply(parameters any) error {
	c.last = true
	return c.reply(reply{Parameters: parameters})
}

// Continue sends a reply that others follow. The caller must take More.
func (c *Call) Continue(parameters any) error {
	return c.reply(reply{Parameters: parameters, Continues: true})
}

// reply is a reply as it is sent.
type reply struct {
	Error      string `json:"error,omitempty"`
	Parameters any    `json:"parameters"`
	Continues  bool   `json:"continues,omitempty"`
}

func (c *Call) reply(r reply) error {
	if c.oneway {
		return nil
	}
	text, err := encode(r)
	if err != nil {
		return err
	}
	return c.send(text)
}

func encode(r reply) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write a reply: %w", err)
	}
	return append(text, 0), nil
}

// fail replies with an error. It returns one if the connection is to be closed.
func (c *Call) fail(err error) error {
	var (
		named    control.Error
		protocol *protocolError
	)
	switch {
	case errors.Is(err, errPeer), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &protocol):
		return c.reply(reply{Error: serviceInterface + "." + protocol.name, Parameters: protocol.parameters})
	case !errors.As(err, &named):
		named = &control.Failed{Reason: err.Error()}
	}
	return c.reply(reply{Error: named.Name(), Parameters: named})
}

// protocolError is an error of org.varlink.service.
type protocolError struct {
	name       string
	parameters map[string]string
}

func (e *protocolError) Error() string { return e.name + " " + strings.Join(values(e.parameters), " ") }

func values(m map[string]string) (list []string) {
	for _, v := range m {
		list = append(list, v)
	}
	return list
}
