package pypitest

import (
	"slices"
	"strings"
	"time"
)

// The project statuses of PEP 792.
const (
	StatusActive      = "active"
	StatusArchived    = "archived"
	StatusDeprecated  = "deprecated"
	StatusQuarantined = "quarantined"
)

type project struct {
	display  string
	serial   int64
	status   string       // PEP 792
	reason   string       // of the status; may be empty
	releases []*published // in the order in which they came
}

// published is a release with the files made of it, in the order in which they came.
type published struct {
	Release
	files       []file
	quarantined bool
}

func (p *project) find(version string) *published {
	for _, r := range p.releases {
		if r.Version == version {
			return r
		}
	}
	return nil
}

// holder finds the release that has a file.
func (p *project) holder(filename string) *published {
	for _, r := range p.releases {
		if slices.ContainsFunc(r.files, func(f file) bool { return f.name == filename }) {
			return r
		}
	}
	return nil
}

func (r *published) removeFile(filename string) {
	r.files = slices.DeleteFunc(slices.Clone(r.files), func(f file) bool { return f.name == filename })
}

// hidden says whether the files of a release are withheld from pages.
func (p *project) hidden(r *published) bool {
	return p.status == StatusQuarantined || r.quarantined
}

// clone is a copy that later changes do not reach.
func (p *project) clone() *project {
	c := *p
	c.releases = nil
	for _, r := range p.releases {
		release := *r
		release.files = slices.Clone(r.files)
		c.releases = append(c.releases, &release)
	}
	return &c
}

// storyTime is the n-th moment of a story: an hour for each, then a second, so that long ones stay in the past.
func storyTime(n int) time.Time {
	const slow = 1000
	return time.Date(2024, 1, 1, 0, 0, 0, 123456000, time.UTC).
		Add(time.Duration(min(n, slow))*time.Hour + time.Duration(max(0, n-slow))*time.Second)
}

// stamp is the time of the next upload; the same story always has the same times.
func (s *Server) stamp() time.Time {
	s.uploads++
	if s.clock != nil {
		return s.clock()
	}
	return storyTime(s.uploads)
}

// pythonOf is the PYVER of the changelog and of the per-project JSON: what a file says it is for.
func pythonOf(filename string) string {
	if stem, ok := strings.CutSuffix(filename, ".whl"); ok {
		if parts := strings.Split(stem, "-"); len(parts) >= 5 {
			return parts[len(parts)-3]
		}
		return "any"
	}
	for _, ending := range []string{".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz", ".tar"} {
		if strings.HasSuffix(filename, ending) {
			return "source"
		}
	}
	if stem, ok := strings.CutSuffix(filename, ".egg"); ok {
		if _, python, ok := strings.Cut(stem, "-py"); ok {
			return python
		}
	}
	return "any"
}

func packageType(filename string) string {
	switch {
	case strings.HasSuffix(filename, ".whl"):
		return "bdist_wheel"
	case pythonOf(filename) == "source":
		return "sdist"
	case strings.HasSuffix(filename, ".egg"):
		return "bdist_egg"
	}
	return "bdist_dumb"
}
