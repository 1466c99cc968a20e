// Package ingest is the stage that makes rows of what the upstream has. Input:
// a package's name, from a person (Ingest), from the upstream's changelog or from
// a walk over all its names (Follower). Output: rows of packages, releases and
// jobs, which wake dispatch by their commit. It owns the worklist of what is to be
// read, the walks, and the serial up to which the upstream was followed.
//
// Events are hints: the database is made to agree with the upstream's page, so
// doing it again is harmless, and a crash before the commit has done nothing. It
// never builds, never publishes, and never believes an upstream that takes too much
// away at once.
package ingest

import (
	"context"

	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
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
	Policy   farm.Policy
	Log      zerolog.Logger
}

// Ingest reads the upstream.
type Ingest struct{ cfg Config }

// New makes an ingest.
func New(cfg Config) *Ingest {
	cfg.Log = cfg.Log.With().Str("part", "ingest").Logger()
	return &Ingest{cfg: cfg}
}
