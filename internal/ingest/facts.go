package ingest

import (
	"cmp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// The statuses of a project (PEP 792).
const (
	statusActive      = "active"
	statusQuarantined = "quarantined"
)

// What strangers' words may be long, in bytes. A version is a key of the
// database, whose index takes 2,700.
const (
	maxVersion = 255
	maxWords   = 1000
	maxETag    = 200
	maxURL     = 8000
)

// projectFacts are what the page says of the project as a whole; without a page,
// what is known.
func projectFacts(known store.Known, p *pypi.Project, follow bool) store.ProjectFacts {
	f := known.ProjectFacts
	f.Followed = f.Followed || follow
	f.Status = cmp.Or(f.Status, statusActive)
	if p == nil {
		return f
	}
	f.Name = cmp.Or(f.Name, p.Name)
	if p.Spelled || f.Display == "" {
		f.Display = cmp.Or(plain(p.Display, maxWords), f.Name)
	}
	f.Serial = max(0, p.Serial)
	f.ETag = ""
	if tag := plain(p.ETag, maxETag+1); tag == p.ETag && len(tag) <= maxETag {
		f.ETag = tag
	}
	switch p.Status {
	case "archived", "deprecated", statusQuarantined:
		f.Status, f.StatusReason = p.Status, plain(p.StatusReason, maxWords)
	default:
		f.Status, f.StatusReason = statusActive, ""
	}
	return f
}

// releaseFacts are what the page says of one release, and the key by which it is
// known; false: the database has no place for its version.
func releaseFacts(project string, r pypi.Release) (f store.ReleaseFacts, key string, ok bool) {
	f = store.ReleaseFacts{
		Version: r.Version.String(), Raw: plain(spelling(project, r), maxVersion),
		Released: moment(r.Uploaded), Yanked: r.Yanked, RequiresPython: plain(r.RequiresPython, maxWords),
		Sdist: sdistFacts(r.Sdist), Wheels: wheelTags(r),
	}
	if r.Legacy {
		f.Version = r.Raw
	}
	if f.Yanked {
		f.YankReason = plain(r.YankReason, maxWords)
	}
	f.Raw = cmp.Or(f.Raw, f.Version)
	fits := f.Version != "" && plain(f.Version, maxVersion) == f.Version
	return f, releaseKey(f.Version), fits
}

// spelling is how the file that pip takes spells the version, since two spellings
// of one release have two sdists; else as the index does.
func spelling(project string, r pypi.Release) string {
	if r.Legacy || r.Sdist == nil {
		return r.Raw
	}
	name := r.Sdist.Filename
	for i := range len(name) {
		if name[i] != '-' || pep.NormalizeName(name[:i]) != project {
			continue
		}
		// Cut the archive's endings off until what is left is this version.
		for s := name[i+1:]; s != ""; {
			if v, err := pep.ParseVersion(s); err == nil && v.Equal(r.Version) {
				return s
			}
			s = s[:max(0, strings.LastIndexByte(s, '.'))]
		}
	}
	return r.Raw
}

// releaseKey is equal for equal versions (PEP 440), as the text of a version is
// not: 1.0 and 1.0.0 are one release. What is no version is known by its letters.
func releaseKey(version string) string {
	v, err := pep.ParseVersion(version)
	if err != nil {
		return "legacy " + version
	}
	base := v.Base()
	rest := strings.TrimPrefix(v.String(), base)
	for {
		short, ok := strings.CutSuffix(base, ".0")
		if !ok {
			return base + rest
		}
		base = short
	}
}

// moment is a time that the database can hold, as it holds it; zero: not told.
func moment(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.Truncate(time.Microsecond)
}

// sdistFacts is the zero Sdist where there is none that could be fetched.
func sdistFacts(f *pypi.File) farm.Sdist {
	if f == nil || f.Filename == "" || plain(f.Filename, maxWords) != f.Filename || plain(f.URL, maxURL) != f.URL {
		return farm.Sdist{}
	}
	return farm.Sdist{Filename: f.Filename, URL: f.URL, SHA256: plain(f.SHA256, maxWords), Size: max(0, f.Size)}
}

// newSdist says whether a build of one says nothing about the other. A hash that
// is told only now is no other file.
func newSdist(was, is farm.Sdist) bool {
	if is.Filename == "" {
		return false
	}
	if was.SHA256 != "" && is.SHA256 != "" {
		return was.SHA256 != is.SHA256
	}
	return was.Filename != is.Filename || was.Size != is.Size && was.Size != 0 && is.Size != 0
}

// plain makes free text fit for a database and for one line: valid UTF-8, no
// control characters, at most limit bytes.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return strings.TrimSpace(s)
}

// skip is a maintainer's word with its version as a key.
type skip struct {
	store.Skip
	key string
}

func skipsOf(all []store.Skip, name string) []skip {
	var out []skip
	for _, s := range all {
		if s.Package == name {
			out = append(out, skip{s, releaseKey(s.Version)})
		}
	}
	return out
}

func (s skip) meets(release string, t store.TargetRow) bool {
	return (s.Version == "" || s.key == release) && (s.Target == "" || s.Target == t.Target.String())
}
