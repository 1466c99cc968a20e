package farm

import (
	"fmt"
	"strconv"
	"strings"
)

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
		// Built: as of Queued, good work may come after its lease was lost.
		// Failed: the build requirement that it waits for cannot come any more.
		return []State{Queued, Covered, Skipped, Built, Failed}
	case Queued:
		return []State{Waiting, Leased, Covered, Skipped, Built}
	case Leased:
		return []State{Queued, Waiting, Built, Failed, Covered, Skipped}
	case Built:
		return []State{Queued}
	case Failed:
		// Built, Covered: a slave that was thought lost may still bring a good wheel.
		// Skipped: it failed of an sdist that was replaced by one that is not for us.
		return []State{Queued, Waiting, Built, Covered, Skipped}
	case Covered:
		return []State{Queued, Waiting, Skipped}
	case Skipped:
		return []State{Queued, Waiting, Covered}
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
	PriorityBacklog  Priority = 40 // everything else, but for these:
	PriorityUpstream Priority = 50 // the upstream has a wheel for this target
	PriorityYanked   Priority = 60 // withdrawn by its owner (PEP 592)
	PriorityLast     Priority = 70 // took too long once: after all others
)

// Priorities lists every priority, the first to be built first.
func Priorities() []Priority {
	return []Priority{PriorityOperator, PriorityNew, PriorityWanted, PriorityBacklog, PriorityUpstream, PriorityYanked,
		PriorityLast}
}

// Word is what people read and write for it: "operator", "new" and so on.
func (p Priority) Word() string {
	switch p {
	case PriorityOperator:
		return "operator"
	case PriorityNew:
		return "new"
	case PriorityWanted:
		return "wanted"
	case PriorityBacklog:
		return "backlog"
	case PriorityUpstream:
		return "upstream-wheel"
	case PriorityYanked:
		return "yanked"
	case PriorityLast:
		return "last"
	}
	return "priority " + strconv.Itoa(int(p))
}

// MarshalText writes the word: so it stands in all JSON.
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.Word()), nil }

// UnmarshalText is ParsePriority.
func (p *Priority) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePriority(string(text))
	return err
}

// ParsePriority reads a priority's word; the error lists them.
func ParsePriority(s string) (Priority, error) {
	var words []string
	for _, p := range Priorities() {
		if p.Word() == s {
			return p, nil
		}
		words = append(words, p.Word())
	}
	return 0, fmt.Errorf("%q is no priority; there are %s", s, strings.Join(words, ", "))
}
