// Package ingest is the stage that makes rows of what the upstream has. Input:
// a package's name, from a person or an event. Output: rows of packages,
// releases and jobs, which wake dispatch by their commit. The database is made
// to agree with the upstream's page, so doing it again is harmless, and a crash
// before the commit has done nothing. It never builds and never publishes.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// Upstream is the index that is followed. It translates its own troubles:
// pypi.ErrNotFound and pypi.ErrUnavailable.
type Upstream interface {
	Project(ctx context.Context, name string) (pypi.Project, error)
}

// Config says what ingest works with.
type Config struct {
	Store    *store.Store
	Upstream Upstream
	Log      zerolog.Logger
}

// Ingest reads the upstream.
type Ingest struct{ cfg Config }

// New makes an ingest.
func New(cfg Config) *Ingest {
	cfg.Log = cfg.Log.With().Str("part", "ingest").Logger()
	return &Ingest{cfg: cfg}
}

// Ask is what somebody wants of one package.
type Ask struct {
	Package  string   // in any spelling
	Versions []string // in any spelling; none: every release, or with Newest only that
	Newest   bool     // for each target the one that pip there would take
	Actor    string   // who asks, for the audit trail
	Priority farm.Priority
}

// Add asks the upstream for a package and queues the releases wanted, on every
// active target. The jobs come back with the state that they are in.
func (in *Ingest) Add(ctx context.Context, ask Ask) ([]store.WishedJob, error) {
	if !pep.ValidName(ask.Package) {
		return nil, fmt.Errorf("%q is not a package name (letters, digits and . _ - between them)", ask.Package)
	}
	targets, err := in.cfg.Store.Targets(ctx)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return nil, errors.New("this farm has no target; run `master target add`, for example cp311-linux_armv7l")
	}
	p, err := in.cfg.Upstream.Project(ctx, pep.NormalizeName(ask.Package))
	if errors.Is(err, pypi.ErrNotFound) {
		return nil, fmt.Errorf("%s: the upstream has no package of this name", ask.Package)
	}
	if err != nil {
		return nil, err
	}
	wanted, err := choose(p, ask, targets)
	if err != nil {
		return nil, err
	}
	// One commit for the package, its releases and their jobs, so that a crash on
	// either side of it leaves all or nothing. Nobody is told but by that commit.
	crash.At(crash.IngestFetched)
	jobs, err := in.cfg.Store.AddJobs(ctx, facts(p), wishes(wanted, ask.Priority), ask.Actor)
	if err != nil {
		return nil, err
	}
	crash.At(crash.IngestCommitted)
	in.cfg.Log.Info().Str("package", p.Name).Int("jobs", len(jobs)).Int("files_left_out", p.LeftOut).Msg("added")
	return jobs, nil
}

// facts makes rows of the upstream's words.
func facts(p pypi.Project) store.Project {
	out := store.Project{Name: p.Name, Display: p.Display}
	for _, r := range p.Releases {
		f := store.ReleaseFacts{
			Version: versionKey(r), Raw: r.Raw, Released: r.Uploaded, Yanked: r.Yanked,
			YankReason: r.YankReason, RequiresPython: r.RequiresPython,
		}
		if r.Sdist != nil {
			f.Sdist = farm.Sdist{Filename: r.Sdist.Filename, URL: r.Sdist.URL, SHA256: r.Sdist.SHA256, Size: r.Sdist.Size}
		}
		out.Releases = append(out.Releases, f)
	}
	return out
}

// versionKey is what a release is known by. Equal versions that are spelled
// differently (1.0 and 1.0.0) are one release already when they come from pypi.
func versionKey(r pypi.Release) string {
	if r.Legacy {
		return r.Raw
	}
	return r.Version.String()
}

// wishes applies the policy to what was chosen.
func wishes(wanted []chosen, pr farm.Priority) []store.Wish {
	var out []store.Wish
	for _, c := range wanted {
		r := c.release
		v := farm.Decide(farm.Candidate{
			Version: r.Raw, HasSdist: r.Sdist != nil, RequiresPython: r.RequiresPython, TargetPython: python(c.target),
		})
		out = append(out, store.Wish{Version: versionKey(r), Target: c.target.Target, Verdict: v, Priority: pr})
	}
	return out
}

// python is the target's full version where it is known, else its feature version.
func python(t store.TargetRow) string { return cmp.Or(t.Facts.Python, t.Target.Python()) }
