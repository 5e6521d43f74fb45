// Package spaconf makes the doors of a spa.Gate from the configuration: it joins
// what config has read with the key files.
package spaconf

import (
	"errors"
	"fmt"

	"knockd/internal/config"
	"knockd/internal/spa"
)

// Doors returns the doors that have keys in place of a sequence, in file order,
// with their clients. The error holds every fault of every key file, each with
// its file and line, and no key.
func Doors(all []*config.Door) ([]*spa.Door, error) {
	var doors []*spa.Door
	var faults []error
	for _, d := range all {
		if d.SPA == nil {
			continue
		}
		clients, err := spa.LoadKeys(d.SPA.KeyFile, hmac(d.SPA))
		if err != nil {
			faults = append(faults, fmt.Errorf("%v: [%s] spa_key_file: %w", d.Place, d.Name, err))
			continue
		}
		doors = append(doors, door(d, clients))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return doors, nil
}

// Advice says what would be safer about the doors' keys, a sentence each.
func Advice(doors []*spa.Door) []string {
	var advice []string
	for _, d := range doors {
		for _, c := range d.Clients {
			for _, text := range c.Advice() {
				advice = append(advice, fmt.Sprintf("[%s] client %s: %s", d.Name, c.Name, text))
			}
		}
	}
	return advice
}

// hmac returns what clients use that name no type of their own: SHA-256 unless
// spa_hmac says otherwise, zero if it says none.
func hmac(s *config.SPA) spa.Hash {
	if s.HMAC == "" {
		return spa.SHA256
	}
	h, _ := spa.ParseHash(s.HMAC)
	return h
}

func door(d *config.Door, clients []spa.Client) *spa.Door {
	s := d.SPA
	g := &spa.Door{
		Name: d.Name, Clients: clients, Proxies: s.TrustedProxies,
		Allow: d.Allow, Deny: d.Deny, AllowInside: s.AllowInside, Destination: s.Destination,
		Open: ranges(d.Open), DenyPorts: ranges(s.DenyPorts),
		Timeout: d.CmdTimeout, MaxTimeout: s.MaxTimeout, MaxAge: s.MaxAge,
		RequireUser: s.RequireUser, RequireSource: s.RequireSource, Expires: s.Expires, IPv6: s.IPv6,
	}
	for _, p := range s.Ports {
		g.Listen = append(g.Listen, spa.ListenOn(p.First, p.Last)...)
	}
	for _, t := range s.Transports {
		g.TCP = g.TCP || t == config.TransportTCP
		g.HTTP = g.HTTP || t == config.TransportHTTP
	}
	for _, n := range s.NATAllow {
		g.NAT = append(g.NAT, spa.NATRule{To: n.Net, Port: portRange(n.Ports)})
	}
	return g
}

func ranges(all []config.Ports) (ranges []spa.PortRange) {
	for _, p := range all {
		ranges = append(ranges, portRange(p))
	}
	return ranges
}

func portRange(p config.Ports) spa.PortRange {
	return spa.PortRange{Proto: p.Proto, First: p.First, Last: p.Last}
}
