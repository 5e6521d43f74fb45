package knock

import "net/netip"

// maxCooldowns is how many addresses are remembered for cooldowns. When more
// are needed at once, the cooldown that began first ends early. So many take
// about 3 MB.
const maxCooldowns = 16384

// cooldowns is until when doors do nothing: for an address or, with the zero
// Addr, for everybody. Doors are known by their id, so that a door keeps its
// cooldown when its one-time sequence or its section changes.
type cooldowns struct {
	addrs terms[cooldownKey]
	all   map[int32]int64 // by door; never more than there are doors
}

type cooldownKey struct {
	door int32
	addr netip.Addr
}

func newCooldowns() cooldowns {
	return cooldowns{newTerms[cooldownKey](maxCooldowns), map[int32]int64{}}
}

// begin notes that the door has opened for an address.
func (c *cooldowns) begin(d *rules, addr netip.Addr, now int64) {
	switch {
	case d.Cooldown == 0:
	case d.CooldownForAll:
		c.all[d.id] = now + int64(d.Cooldown)
	default:
		c.addrs.set(cooldownKey{d.id, addr}, now+int64(d.Cooldown), now)
	}
}

// hold reports whether hits of an address do nothing at the door.
func (c *cooldowns) hold(d *rules, addr netip.Addr, now int64) bool {
	switch {
	case d.Cooldown == 0:
		return false
	case d.CooldownForAll:
		return now < c.all[d.id]
	}
	return c.addrs.has(cooldownKey{d.id, addr}, now)
}

// until returns until when hits of an address do nothing at the door, if hold
// reports that they do.
func (c *cooldowns) until(d *rules, addr netip.Addr) int64 {
	if d.CooldownForAll {
		return c.all[d.id]
	}
	return c.addrs.until[cooldownKey{d.id, addr}]
}

// keep forgets the cooldowns of doors that are gone.
func (c *cooldowns) keep(ids map[DoorID]int32) {
	all := make(map[int32]int64, len(c.all))
	for _, id := range ids {
		if until, ok := c.all[id]; ok {
			all[id] = until
		}
	}
	c.all = all
}
