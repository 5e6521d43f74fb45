package knock

// Verdict is what a hit was to a Tracker, for those who look for the reason why
// a knock fails. Observe's decisions say the rest.
type Verdict uint8

// The verdicts.
const (
	// NoStep: no door that watches its destination has its port.
	NoStep Verdict = iota
	// WrongFlags: the doors that do ask for other TCP flags.
	WrongFlags
	// WrongLength: they ask for another length of the payload.
	WrongLength
	// NotAllowed: their allow or deny leaves its source out.
	NotAllowed
	// IgnoredSource: its source has failed too often.
	IgnoredSource
	// Repeat: it is a repeat of a hit that took a step.
	Repeat
	// Nothing: it began no attempt, and neither moved one on nor ended it.
	Nothing
	// Took: it took a step of a door, or of several.
	Took
	// Ended: it has ended an attempt.
	Ended
)

var verdictNames = [...]string{
	"no step of a door here", "not the flags that are asked for", "not a length that is asked for", "its source is not allowed",
	"its source is ignored", "a repeat", "no effect", "a step", "ends an attempt",
}

// String returns the verdict in a few words.
func (v Verdict) String() string { return verdictNames[v] }
