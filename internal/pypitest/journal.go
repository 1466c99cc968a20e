package pypitest

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"pinwheel/internal/pep"
)

// maxPage is how many events PyPI gives at most in one answer.
const maxPage = 50_000

// Event is one line of the changelog. Only Name and Action must be given to [Server.Announce].
type Event struct {
	Name    string    // as its author writes it
	Version string    // "": nil
	Time    time.Time // shown in whole seconds
	Action  string    // "new release", "add source file demo-1.0.tar.gz"
	Serial  int64     // 0: the next one
}

// journal is what happened, by growing serial.
type journal struct {
	serial   int64
	events   []Event
	pageSize int
}

// next leaves gaps here and there, as sequences of databases do.
func (j *journal) next() int64 {
	j.serial++
	if mixed := uint64(j.serial) * 0x9E3779B97F4A7C15 >> 61; mixed < 2 {
		j.serial += int64(mixed) + 1
	}
	return j.serial
}

// insert keeps the order of serials; of equal ones the later told comes later.
func (j *journal) insert(e Event) {
	at, _ := slices.BinarySearchFunc(j.events, e.Serial+1, bySerial)
	j.events = slices.Insert(j.events, at, e)
}

func bySerial(e Event, serial int64) int { return cmp.Compare(e.Serial, serial) }

// since is one page of what came after a serial.
func (j *journal) since(serial int64) []Event {
	at, _ := slices.BinarySearchFunc(j.events, serial+1, bySerial)
	return j.events[at:min(len(j.events), at+j.pageSize)]
}

// before is the page that ends at a serial.
func (j *journal) before(serial int64) []Event {
	end, _ := slices.BinarySearchFunc(j.events, serial+1, bySerial)
	return j.events[max(0, end-j.pageSize):end]
}

// tell writes an event of a project that is there, whose serial it becomes.
func (s *Server) tell(p *project, version, action string) {
	p.serial = s.write(Event{Name: p.display, Version: version, Action: action})
	s.changes++
}

func (s *Server) write(e Event) int64 {
	if e.Serial == 0 {
		e.Serial = s.journal.next()
	}
	if e.Time.IsZero() {
		e.Time = s.eventTime(e.Serial)
	}
	s.journal.insert(e)
	s.journal.serial = max(s.journal.serial, e.Serial)
	return e.Serial
}

// eventTime goes back by minutes now and then: transactions end in another order than they begin.
func (s *Server) eventTime(serial int64) time.Time {
	t := storyTime(0).Add(time.Duration(serial) * time.Second)
	if s.clock != nil {
		t = s.clock()
	}
	if serial%10 == 3 {
		t = t.Add(-5 * time.Minute)
	}
	return t
}

// Announce writes events that change nothing: noise ("docupdate", "add Owner somebody"), or lies, of projects that
// exist or not. The serial of a project that exists grows with it, as on PyPI, unless the event brings its own.
func (s *Server) Announce(events ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		own := e.Serial != 0
		serial := s.write(e)
		if p := s.projects[pep.NormalizeName(e.Name)]; p != nil && !own {
			p.serial = serial
			s.changes++
		}
	}
}

// Events returns the whole changelog.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal.events)
}

// Serial is that of the last event of a project, or with "" of all; 0: there is none.
func (s *Server) Serial(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" {
		return s.journal.serial
	}
	if p := s.projects[pep.NormalizeName(name)]; p != nil {
		return p.serial
	}
	return 0
}

// StartAt sets the serial after which the next event comes; beyond 2^31 the changelog writes it as i8.
func (s *Server) StartAt(serial int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.serial = serial
}

// JumpBack makes the changelog forget its last serials, as after a restore from a backup, and give them to what
// comes next. The projects themselves stay as they are; with them it is [Server.Restore].
func (s *Server) JumpBack(by int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.serial = max(0, s.journal.serial-by)
	end, _ := slices.BinarySearchFunc(s.journal.events, s.journal.serial+1, bySerial)
	s.journal.events = slices.Clip(s.journal.events[:end])
	s.changes++
}

// backup is an index as it was at one moment.
type backup struct {
	projects map[string]*project
	serial   int64
	events   []Event
}

// Backup keeps the projects and the changelog as they are now, for [Server.Restore]; the last one counts.
func (s *Server) Backup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backup = &backup{cloned(s.projects), s.journal.serial, slices.Clone(s.journal.events)}
}

// Restore makes the index what it was at the Backup: releases, events and serials since then are forgotten, those of the
// projects too, and the serials are given to what comes next. It can be done again.
func (s *Server) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backup == nil {
		return errors.New("restore: there is no backup")
	}
	s.projects = cloned(s.backup.projects)
	s.journal.serial, s.journal.events = s.backup.serial, slices.Clone(s.backup.events)
	s.changes++
	return nil
}

func cloned(projects map[string]*project) map[string]*project {
	all := make(map[string]*project, len(projects))
	for name, p := range projects {
		all[name] = p.clone()
	}
	return all
}

// ChangelogPage sets how many events one answer holds at most; PyPI gives 50,000.
func (s *Server) ChangelogPage(events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.pageSize = events
}

// Clock sets what tells the time of uploads and events from now on; without one a story has a time of its own.
func (s *Server) Clock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}
