package monitor

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// mostEvents are kept to be looked at.
const mostEvents = 500

// silent is after how long without a beat a slave counts as gone: a lease's length.
const silent = 90 * time.Second

// seen is what is known of the farm.
type seen struct {
	snap   bus.Snapshot
	got    time.Time // by our clock; zero: nothing yet
	err    error     // of the last try
	traces map[string]*trace
	events []bus.Event // the newest last
}

func (s *seen) take(snap bus.Snapshot, now time.Time) {
	s.snap, s.got, s.err = snap, now, nil
	if s.traces == nil {
		s.traces = map[string]*trace{}
	}
	here := map[string]bool{}
	for _, sl := range snap.Slaves {
		here[sl.Name] = true
		if s.traces[sl.Name] == nil {
			s.traces[sl.Name] = &trace{}
		}
		s.traces[sl.Name].add(sl)
	}
	for name := range s.traces {
		if !here[name] {
			delete(s.traces, name)
		}
	}
}

func (s *seen) hear(list []bus.Event) {
	s.events = append(s.events, list...)
	if over := len(s.events) - mostEvents; over > 0 {
		s.events = slices.Clone(s.events[over:])
	}
}

// slaveState is one word, the worst first.
func slaveState(s bus.SlaveNow, now time.Time) string {
	switch {
	case s.LastSeen != nil && now.Sub(*s.LastSeen) > silent:
		return "silent"
	case s.Paused:
		return "paused"
	case s.LastSeen == nil:
		return "never"
	case s.Pulse.Unfit != "":
		return "unfit"
	case strings.HasPrefix(s.Pulse.Doing, "building "):
		return "busy" // a slave that has nothing to do says so too
	}
	return "idle"
}

func stateStyle(state string) string {
	switch state {
	case "silent", "unfit":
		return red
	case "paused", "never":
		return yellow
	case "busy":
		return green
	}
	return ""
}

// slaveDoing is what it does, or why nothing.
func slaveDoing(s bus.SlaveNow) string {
	var parts []string
	if s.Pulse.Unfit != "" {
		parts = append(parts, s.Pulse.Unfit)
	}
	if s.Paused && s.PausedWhy != "" {
		parts = append(parts, s.PausedWhy)
	}
	if s.Pulse.Doing != "" {
		parts = append(parts, strings.TrimPrefix(s.Pulse.Doing, "building "))
	}
	if len(s.Pulse.Throttled) > 0 {
		parts = append(parts, strings.Join(s.Pulse.Throttled, ", "))
	}
	return clean(strings.Join(parts, "; "))
}

// The orders of the table of slaves.
const (
	byName = iota
	byState
	bySeen
	byLoad
	byHeat
	byDisk
	byMemory
	sortKinds
)

// sortSlaves orders them by a column, the most pressing first, and else by name.
func sortSlaves(list []bus.SlaveNow, by int, backwards bool, now time.Time) []bus.SlaveNow {
	list = slices.Clone(list)
	order := func(a, b bus.SlaveNow) int {
		switch by {
		case byState:
			return cmp.Compare(urgency(slaveState(a, now)), urgency(slaveState(b, now)))
		case bySeen:
			return lastSeen(a).Compare(lastSeen(b))
		case byLoad:
			return cmp.Compare(b.Pulse.Load, a.Pulse.Load)
		case byHeat:
			return cmp.Compare(b.Pulse.Temperature, a.Pulse.Temperature)
		case byDisk:
			return cmp.Compare(a.Pulse.DiskFree, b.Pulse.DiskFree)
		case byMemory:
			return cmp.Compare(a.Pulse.MemoryFree, b.Pulse.MemoryFree)
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b bus.SlaveNow) int {
		c := cmp.Or(order(a, b), cmp.Compare(a.Name, b.Name))
		if backwards {
			return -c
		}
		return c
	})
	return list
}

func lastSeen(s bus.SlaveNow) time.Time {
	if s.LastSeen == nil {
		return time.Time{}
	}
	return *s.LastSeen
}

func urgency(state string) int {
	return slices.Index([]string{"silent", "unfit", "never", "paused", "idle", "busy"}, state)
}

// perMinute is the mean of the last minutes.
func perMinute(list []int64, minutes int) float64 {
	if len(list) < minutes || minutes == 0 {
		return 0
	}
	return float64(sum(list[len(list)-minutes:])) / float64(minutes)
}

func sum(list []int64) (n int64) {
	for _, v := range list {
		n += v
	}
	return n
}

func floats(list []int64) []float64 {
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = float64(v)
	}
	return out
}

// stateNames are the states in the order of a table.
func stateNames() []string {
	var list []string
	for _, s := range farm.States() {
		list = append(list, string(s))
	}
	return list
}
