package ingest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// chosen is one release that is wanted on one target.
type chosen struct {
	release pypi.Release
	target  store.TargetRow
}

// choose picks what was asked for. Named versions and all of them are wanted on
// every target; the newest is another one where the Python is another one.
func choose(p pypi.Project, ask Ask, targets []store.TargetRow) ([]chosen, error) {
	if p.Status == statusQuarantined {
		return nil, fmt.Errorf("%s: the upstream holds the project back (quarantined): %s", p.Name, cmp.Or(p.StatusReason, "it gives no reason"))
	}
	if len(p.Releases) == 0 {
		return nil, fmt.Errorf("%s: the upstream has no release of it", p.Name)
	}
	if ask.Newest && len(ask.Versions) == 0 {
		return newestFor(p, targets)
	}
	releases := p.Releases
	if len(ask.Versions) > 0 {
		var err error
		if releases, err = byVersion(p, ask.Versions); err != nil {
			return nil, err
		}
	}
	var out []chosen
	for _, r := range releases {
		for _, t := range targets {
			out = append(out, chosen{r, t})
		}
	}
	return out, nil
}

// byVersion finds each version once, however often and in whatever spelling it was
// asked for.
func byVersion(p pypi.Project, versions []string) ([]pypi.Release, error) {
	var out []pypi.Release
	taken := map[int]bool{}
	for _, want := range versions {
		i := slices.IndexFunc(p.Releases, func(r pypi.Release) bool { return same(r, want) })
		if i < 0 {
			return nil, fmt.Errorf("%s: the upstream has no version %s; it has %s", p.Name, want, some(p.Releases))
		}
		if !taken[i] {
			taken[i] = true
			out = append(out, p.Releases[i])
		}
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

// newestFor picks for each target what pip there would take. Where none is for
// its Python, it picks the newest of all, so that a row says why there is none.
func newestFor(p pypi.Project, targets []store.TargetRow) ([]chosen, error) {
	best, ok := newest(p.Releases)
	if !ok {
		return nil, fmt.Errorf("%s: the upstream has no release that pip would take", p.Name)
	}
	var out []chosen
	for _, t := range targets {
		allowed := slices.DeleteFunc(slices.Clone(p.Releases), func(r pypi.Release) bool {
			return !farm.PythonAllowed(r.RequiresPython, python(t))
		})
		r, ok := newest(allowed)
		if !ok {
			r = best
		}
		out = append(out, chosen{r, t})
	}
	return out, nil
}

// newest is what pip would take without a version: the highest final release
// that has a file and is not yanked, else the highest pre-release.
func newest(releases []pypi.Release) (best pypi.Release, ok bool) {
	for _, r := range releases {
		if r.Legacy || r.Yanked || (r.Sdist == nil && len(r.Wheels) == 0) {
			continue
		}
		if !ok || newer(r, best) {
			best, ok = r, true
		}
	}
	return best, ok
}

func newer(r, than pypi.Release) bool {
	pre, thanPre := unstable(r.Version), unstable(than.Version)
	if pre != thanPre {
		return !pre
	}
	return r.Version.Compare(than.Version) > 0
}

func unstable(v pep.Version) bool { return v.IsPre() || v.IsDev() }

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
