package ingest

import (
	"fmt"
	"slices"
	"strings"

	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
)

// choose picks the releases that were asked for.
func choose(p pypi.Project, ask Ask) ([]pypi.Release, error) {
	if len(p.Releases) == 0 {
		return nil, fmt.Errorf("%s: the upstream has no release of it", p.Name)
	}
	if len(ask.Versions) > 0 {
		return named(p, ask.Versions)
	}
	if !ask.Newest {
		return p.Releases, nil
	}
	r, ok := newest(p.Releases)
	if !ok {
		return nil, fmt.Errorf("%s: the upstream has no release that pip would take", p.Name)
	}
	return []pypi.Release{r}, nil
}

func named(p pypi.Project, versions []string) ([]pypi.Release, error) {
	var out []pypi.Release
	for _, want := range versions {
		i := slices.IndexFunc(p.Releases, func(r pypi.Release) bool { return same(r, want) })
		if i < 0 {
			return nil, fmt.Errorf("%s: the upstream has no version %s; it has %s", p.Name, want, some(p.Releases))
		}
		out = append(out, p.Releases[i])
	}
	return out, nil
}

// same compares by PEP 440, and what is not PEP 440 as it is written.
func same(r pypi.Release, want string) bool {
	if v, err := pep.ParseVersion(want); err == nil && !r.Legacy {
		return r.Version.Equal(v)
	}
	return r.Raw == want
}

// newest is what pip would take without a version: the highest final release
// that is not yanked, else the highest pre-release.
func newest(releases []pypi.Release) (best pypi.Release, ok bool) {
	better := func(r pypi.Release) bool {
		pre := r.Version.IsPre() || r.Version.IsDev()
		bestPre := best.Version.IsPre() || best.Version.IsDev()
		if pre != bestPre {
			return !pre
		}
		return r.Version.Compare(best.Version) > 0
	}
	for _, r := range releases {
		if r.Legacy || r.Yanked || (r.Sdist == nil && len(r.Wheels) == 0) {
			continue
		}
		if !ok || better(r) {
			best, ok = r, true
		}
	}
	return best, ok
}

// some names the last few versions, so that a slip of the pen is seen at once.
func some(releases []pypi.Release) string {
	const few = 5
	var names []string
	for _, r := range releases[max(0, len(releases)-few):] {
		names = append(names, r.Raw)
	}
	if len(releases) > few {
		return "…, " + strings.Join(names, ", ")
	}
	return strings.Join(names, ", ")
}
