// Package stats keeps the counts that people look at. Input: all rows of the farm.
// Output: one row with their numbers, which `status` and the site show where counting
// takes long. After a crash the next round counts again. It decides nothing.
package stats

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/service"
)

// every is the pause between two looks whether the counts are too old.
const every = 10 * time.Second

// Store counts.
type Store interface {
	// Tally counts anew if what is kept is too old; it says whether it did.
	Tally(ctx context.Context) (bool, error)
}

// Run keeps the counts fresh until ctx ends. Several masters may do so at once.
func Run(ctx context.Context, s Store, log zerolog.Logger) error {
	log = log.With().Str("part", "stats").Logger()
	return service.Loop{Every: every, Log: log, Do: func(ctx context.Context) error {
		began := time.Now()
		fresh, err := s.Tally(ctx)
		if fresh {
			log.Debug().Dur("took", time.Since(began)).Msg("all counted")
		}
		return err
	}}.Run(ctx)
}
