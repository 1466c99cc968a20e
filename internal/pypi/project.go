package pypi

import (
	"cmp"
	"slices"
	"time"

	"pinwheel/internal/pep"
)

// Project is what the index knows about one project.
type Project struct {
	Name    string // normalized (PEP 503)
	Display string // as its authors spell it, where the index tells; else Name
	Spelled bool   // it tells: pages of PyPI's JSON have the normalized name only
	Serial  int64  // of the last change that this answer includes; 0: the index has no serials
	ETag    string // for Seen; empty: the index tells none

	// Status is PEP 792's: "active", "archived", "deprecated" or "quarantined"; active when the index says nothing,
	// or something new. A quarantined project's page has no files, and that is no deletion.
	Status       string
	StatusReason string

	Releases []Release // oldest version first; legacy ones, which have no place in that order, at the head
	LeftOut  int       // files left out: their name, address or facts do not parse, or name another project
}

// Release is one version of a project. Files whose versions are equal (1.0 and 1.0.0) belong to one release.
type Release struct {
	Version        pep.Version // PEP 440; the zero Version when Legacy
	Raw            string      // the version as the index spells it
	Legacy         bool        // Raw does not parse by PEP 440; such a release has no files here
	Uploaded       time.Time   // of the first file, also of one that is not here; zero: unknown
	Yanked         bool        // PEP 592: there are files, and each is yanked
	YankReason     string      // may be empty though yanked
	RequiresPython string      // of the sdist, else of the first wheel that says something
	Sdist          *File       // the one that pip takes; nil: none that pip could
	Wheels         []File      // in the index's order
}

// File is one distribution file.
type File struct {
	Filename       string    // parses as a file name of this project and release
	URL            string    // absolute, http or https, without user and fragment
	SHA256         string    // 64 lower-case hex digits; empty: the index tells none
	Size           int64     // bytes; 0: unknown
	Uploaded       time.Time // zero: unknown
	RequiresPython string
	Yanked         bool
	YankReason     string
}

// page is an answer of the index in any of its forms, before it is sorted into releases.
type page struct {
	display  string
	spelled  bool // display is as authors write it, also where that is the normalized name
	serial   int64
	etag     string
	status   string   // as the index spells it
	reason   string   // of the status
	versions []string // named apart from files (PEP 700), so that releases without files are seen
	files    []File   // in the order of the page, each with a usable name and address
	others   []File   // of kinds that pip never takes; they tell when a release was made
	names    map[string]bool
	leftOut  int
	partial  bool // the form of the page has no place for sizes and upload times
}

// add puts a file on the page, once; an index that names a file twice may mean two different ones.
func (p *page) add(f File, ok bool) {
	switch {
	case ok && foreignFormat(f.Filename):
		p.others = append(p.others, f)
	case !ok || p.names[f.Filename]:
		p.leftOut++
	default:
		if p.names == nil {
			p.names = map[string]bool{}
		}
		p.names[f.Filename] = true
		p.files = append(p.files, f)
	}
}

// entry is one thing that a page says about one version.
type entry struct {
	version pep.Version
	raw     string
	file    *File
	wheel   bool
}

// assemble sorts the files of a page into releases.
func assemble(normal string, p page) Project {
	project := Project{Name: normal, Display: cmp.Or(p.display, normal), Serial: p.serial, ETag: p.etag, LeftOut: p.leftOut}
	project.Spelled = p.spelled || project.Display != normal
	project.Status, project.StatusReason = standing(p.status, p.reason)
	entries := make([]entry, 0, len(p.versions)+len(p.files))
	for _, raw := range p.versions {
		v, err := pep.ParseVersion(raw)
		switch {
		case err == nil:
			entries = append(entries, entry{version: v, raw: raw})
		case raw != "" && raw == clean(raw):
			project.Releases = append(project.Releases, Release{Raw: raw, Legacy: true})
		default:
			project.LeftOut++
		}
	}
	for i := range p.files {
		e, ok := classify(normal, &p.files[i])
		if !ok {
			project.LeftOut++
			p.others = append(p.others, p.files[i])
			continue
		}
		entries = append(entries, e)
	}
	slices.SortFunc(project.Releases, func(a, b Release) int { return cmp.Compare(a.Raw, b.Raw) })
	project.Releases = append(project.Releases, group(entries)...)
	date(&project, p.others)
	return project
}

// standing reads a project's status (PEP 792). What it does not know must not stop a project's releases.
func standing(status, reason string) (string, string) {
	switch status {
	case "archived", "deprecated", "quarantined":
		return status, clean(reason)
	}
	return "active", ""
}

// group makes one release of all entries with equal versions. The sort is stable, since the order of the page
// is what decides between several sdists.
func group(entries []entry) []Release {
	slices.SortStableFunc(entries, func(a, b entry) int { return a.version.Compare(b.version) })
	var releases []Release
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && entries[n].version.Equal(entries[0].version) {
			n++
		}
		releases = append(releases, release(entries[:n]))
		entries = entries[n:]
	}
	return releases
}

func release(entries []entry) Release {
	r := Release{Version: entries[0].version, Raw: entries[0].raw}
	files, yanked := 0, 0
	for _, e := range entries {
		f := e.file
		switch {
		case f == nil:
			continue
		case e.wheel:
			r.Wheels = append(r.Wheels, *f)
		case better(f, r.Sdist):
			r.Sdist = f
		}
		files++
		if f.Yanked {
			yanked++
			r.YankReason = cmp.Or(r.YankReason, f.YankReason)
		}
		if r.Uploaded.IsZero() || (!f.Uploaded.IsZero() && f.Uploaded.Before(r.Uploaded)) {
			r.Uploaded = f.Uploaded
		}
	}
	r.Yanked = files > 0 && yanked == files
	r.RequiresPython = requiresPython(r)
	if !r.Yanked {
		r.YankReason = ""
	}
	return r
}

// better decides between two sdists of one version as pip does: one that is not yanked goes first, and of equals
// the last on the page, whatever its format.
func better(f, than *File) bool {
	return than == nil || !f.Yanked || than.Yanked
}

func requiresPython(r Release) string {
	if r.Sdist != nil {
		return r.Sdist.RequiresPython
	}
	for _, w := range r.Wheels {
		if w.RequiresPython != "" {
			return w.RequiresPython
		}
	}
	return ""
}
