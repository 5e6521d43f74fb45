package config

import "fmt"

// dropInDoor returns the door that a section of a drop-in is about: the one of
// that name, or a new one if the section says so.
func (p *parser) dropInDoor(s *rawSection) *rawDoor {
	doors := p.named[cut(s.name, longestName)]
	isNew := saysNew(s)
	switch {
	case isNew && len(doors) > 0:
		p.fault(&Fault{s.place, s.name, "new", fmt.Errorf("%v has a door of this name: must be another", doors[0].Place)})
	case isNew:
		return p.addDoor(s)
	case len(doors) == 0:
		p.fault(&Fault{s.place, s.name, "", fmt.Errorf("names no door: must be a door of %s, or say new = yes", p.main)})
	case len(doors) > 1:
		p.fault(&Fault{s.place, s.name, "", fmt.Errorf("names two doors, %v and %v: must be one", doors[0].Place, doors[1].Place)})
	default:
		return doors[0]
	}
	return newRawDoor(s)
}

// saysNew looks for "new = yes", wherever it stands in the section.
func saysNew(s *rawSection) bool {
	for _, item := range s.items {
		if k := doorKeys.find(item.key); k != nil && k.names[0] == "new" {
			if yes, err := parseYes(item.value); err == nil && yes {
				return true
			}
		}
	}
	return false
}
