package pypitest

import (
	"slices"
	"strings"
	"time"

	"pinwheel/internal/pep"
)

// State is everything that is true on an index at one moment, beyond what any single page shows.
type State struct {
	Serial   int64                   // of the last event
	Projects map[string]ProjectState // by normalized name
}

// ProjectState is one project. Its page shows the files of all releases but hidden ones, and none in quarantine.
type ProjectState struct {
	Name     string // normalized
	Display  string // as the newest upload spells it
	Serial   int64  // of the last event that told of it
	Status   string // PEP 792: active, archived, deprecated, quarantined
	Reason   string // of the status
	Releases []ReleaseState
}

// ReleaseState is what PEP 440 takes for one release, however its author wrote it. Releases come in the order of
// PEP 440, legacy ones after them by text.
type ReleaseState struct {
	Version string // normal form of the first spelling; of a legacy version the text
	Legacy  bool
	Raw     []string    // the spellings, sorted; also those without files
	Files   []FileState // by file name
}

// FileState is one file, with what its release says of it.
type FileState struct {
	Filename       string
	Raw            string // the version as its author wrote it
	Sdist          bool   // of an ending that pip builds from
	Wheel          bool
	Size           int // bytes
	SHA256         string
	Uploaded       time.Time // UTC, microseconds
	RequiresPython string
	Yanked         bool
	YankReason     string
	Hidden         bool // the release is in quarantine
}

// Yanked says whether no file is left that is not yanked.
func (r ReleaseState) Yanked() bool {
	return len(r.Files) > 0 && !slices.ContainsFunc(r.Files, func(f FileState) bool { return !f.Yanked })
}

// State takes a snapshot.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{Serial: s.journal.serial, Projects: make(map[string]ProjectState, len(s.projects))}
	for name, p := range s.projects {
		state.Projects[name] = p.state(name)
	}
	return state
}

func (p *project) state(name string) ProjectState {
	state := ProjectState{Name: name, Display: p.display, Serial: p.serial, Status: p.status, Reason: p.reason}
	var keys []versionKey
	for _, r := range p.releases {
		key := newKey(r.Version)
		i := slices.IndexFunc(keys, key.equal)
		if i < 0 {
			i = len(keys)
			keys = append(keys, key)
			state.Releases = append(state.Releases, ReleaseState{Version: key.text, Legacy: key.legacy})
		}
		state.Releases[i].add(r)
	}
	for i := range state.Releases {
		slices.Sort(state.Releases[i].Raw)
		slices.SortFunc(state.Releases[i].Files, func(a, b FileState) int { return strings.Compare(a.Filename, b.Filename) })
	}
	slices.SortFunc(state.Releases, func(a, b ReleaseState) int { return newKey(a.Version).compare(newKey(b.Version)) })
	return state
}

func (r *ReleaseState) add(p *published) {
	r.Raw = append(r.Raw, p.Version)
	for _, f := range p.files {
		kind := packageType(f.name)
		r.Files = append(r.Files, FileState{
			Filename: f.name, Raw: p.Version, Sdist: kind == "sdist", Wheel: kind == "bdist_wheel", Size: len(f.content()),
			SHA256: f.sha256, Uploaded: f.uploaded.UTC().Truncate(time.Microsecond), RequiresPython: p.RequiresPython,
			Yanked: p.Yanked, YankReason: p.YankReason, Hidden: p.quarantined,
		})
	}
}

// versionKey is by what versions are told apart and put in order.
type versionKey struct {
	version pep.Version
	legacy  bool
	text    string
}

func newKey(raw string) versionKey {
	v, err := pep.ParseVersion(raw)
	if err != nil {
		return versionKey{legacy: true, text: raw}
	}
	return versionKey{version: v, text: v.String()}
}

func (k versionKey) equal(o versionKey) bool { return k.compare(o) == 0 }

func (k versionKey) compare(o versionKey) int {
	switch {
	case k.legacy && o.legacy:
		return strings.Compare(k.text, o.text)
	case k.legacy:
		return 1
	case o.legacy:
		return -1
	}
	return k.version.Compare(o.version)
}
