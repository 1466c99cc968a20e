package farm

import "fmt"

// State is where a job stands (docs/states.md).
type State string

// The states of a job. A removed job has no row, hence no state.
const (
	Waiting State = "waiting" // another job may make it unnecessary or possible
	Queued  State = "queued"  // any fitting slave may have it
	Leased  State = "leased"  // a slave builds it
	Built   State = "built"   // ended: its wheel is published
	Failed  State = "failed"  // ended: with a cause
	Covered State = "covered" // no build needed, a usable wheel exists
	Skipped State = "skipped" // will not be built, with a reason
)

// States lists every state, in the order of a job's life.
func States() []State {
	return []State{Waiting, Queued, Leased, Built, Failed, Covered, Skipped}
}

// moves is the table of legal moves. It is a function, not a variable, because
// nobody may change it.
func moves(from State) []State {
	switch from {
	case Waiting:
		return []State{Queued, Covered, Skipped}
	case Queued:
		return []State{Waiting, Leased, Covered, Skipped, Built}
	case Leased:
		return []State{Queued, Waiting, Built, Failed, Covered, Skipped}
	case Built:
		return []State{Queued}
	case Failed:
		// Built, Covered: a slave that was thought lost may still bring a good wheel.
		return []State{Queued, Waiting, Built, Covered}
	case Covered, Skipped:
		return []State{Queued, Waiting}
	}
	return nil
}

// CanMove says whether a job may go from one state to another.
func CanMove(from, to State) bool {
	for _, s := range moves(from) {
		if s == to {
			return true
		}
	}
	return false
}

// ParseState reads a state's name.
func ParseState(s string) (State, error) {
	for _, k := range States() {
		if string(k) == s {
			return k, nil
		}
	}
	return "", fmt.Errorf("%q is not a job state (one of %v)", s, States())
}

// Ended says whether a maintainer may send the job back to the queue.
func (s State) Ended() bool {
	return s == Built || s == Failed || s == Covered || s == Skipped
}

// Priority orders queued jobs: lower is sooner.
type Priority int16

// The priorities of design 4.
const (
	PriorityOperator Priority = 10 // an operator's word
	PriorityNew      Priority = 20 // a new release
	PriorityWanted   Priority = 30 // asked for, and without any usable wheel
	PriorityBacklog  Priority = 40 // everything else
)
