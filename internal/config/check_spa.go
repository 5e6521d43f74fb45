package config

import (
	"fmt"
	"time"
)

// spaKeyFile is the key that makes a door an SPA door.
const spaKeyFile = "spa_key_file"

// checkSPA looks at an SPA door.
func (p *parser) checkSPA(d *rawDoor) {
	for _, k := range doorRows {
		if k.only == sequenceDoors && d.has(k.names[0]) {
			p.fault(d.fault(k.names[0], fmt.Errorf("is for doors with a sequence: this one has spa_key_file")))
		}
	}
	if len(d.OpenNamed) > 0 {
		p.fault(d.fault("open", fmt.Errorf("/* is for doors with a sequence: must be the ports that may be asked for")))
	}
	for _, key := range []string{"spa_max_age", "max_timeout"} {
		if value := map[string]time.Duration{"spa_max_age": d.SPA.MaxAge, "max_timeout": d.SPA.MaxTimeout}[key]; value == 0 {
			p.fault(d.fault(key, fmt.Errorf("0: must be at least 1 second")))
		}
	}
	if d.SPA.HMAC == "none" {
		p.warn(d.fault("spa_hmac", fmt.Errorf("none: anybody can make the daemon decrypt, and packets can be altered on their way")))
	}
	if !d.SPA.RequireSource {
		p.advise(d.fault("require_source", fmt.Errorf("is no: a packet that was overheard on its way and held back opens for whoever sends it; say yes unless phones send 0.0.0.0")))
	}
}
