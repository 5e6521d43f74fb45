package event

import "fmt"

// HistoryFailed says that the file of the history cannot be used.
type HistoryFailed struct {
	warning
	Err error // names the file
}

func (e HistoryFailed) Text() string {
	return fmt.Sprintf("history: %v: who is let in is remembered in memory alone until this is over", e.Err)
}

// HistoryWritten says that it is used again.
type HistoryWritten struct {
	notice
	File string
}

func (e HistoryWritten) Text() string {
	return "history: " + e.File + ": written again: all that is remembered is in it"
}

// HistoryDamaged says that lines of it could not be read.
type HistoryDamaged struct {
	notice
	File  string
	Lines int
}

func (e HistoryDamaged) Text() string {
	return fmt.Sprintf("history: %s: damaged lines skipped: %d", e.File, e.Lines)
}
