package engine

import (
	"fmt"

	"knockd/internal/config"
	"knockd/internal/spa"
)

// spaDoor returns a door that has keys in place of a sequence as messages see it,
// with the clients of its key file. The error holds every fault of that file,
// each with its line, and no key.
func spaDoor(c *config.Door) (*spa.Door, error) {
	clients, err := spa.LoadKeys(c.SPA.KeyFile, hmac(c.SPA))
	if err != nil {
		return nil, &config.Fault{Place: c.Place, Section: c.Name, Key: "spa_key_file", Err: err}
	}
	return withClients(c, clients), nil
}

// adviceOn says what would be safer about a door's keys, a sentence each.
func adviceOn(c *config.Door, d *spa.Door) []string {
	var advice []string
	for _, client := range d.Clients {
		for _, text := range client.Advice() {
			advice = append(advice, fmt.Sprintf("%v: [%s] spa_key_file: client %s: %s", c.Place, c.Name, client.Name, text))
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

func withClients(d *config.Door, clients []spa.Client) *spa.Door {
	s := d.SPA
	g := &spa.Door{
		DoorID: d.ID(), Clients: clients, Proxies: s.TrustedProxies,
		Allow: d.Allow, Deny: d.Deny, AllowInside: s.AllowInside, Destination: s.Destination,
		Open: d.Open, AllowPorts: s.AllowPorts, DenyPorts: s.DenyPorts,
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
	g.NoForward, g.NoLocal = s.NATOnly == config.NATLocal, s.NATOnly == config.NATForward
	g.NAT = s.NATAllow
	return g
}
