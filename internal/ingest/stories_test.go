package ingest

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// How many stories `make test` tells, and from which seed on; PINWHEEL_STORIES and
// PINWHEEL_STORY_SEED say otherwise.
const (
	usualStories = 150
	firstSeed    = 1
	enough       = 5 // failures are told before the rest is left out
)

func fromEnvironment(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

// TestStories: whatever happens upstream, on the wire and to the follower, the
// database ends as what is true upstream.
func TestStories(t *testing.T) {
	t.Parallel()
	tellStories(t, fromEnvironment(t, "PINWHEEL_STORIES", usualStories), func(*theatre) {})
}

// tellStories tells so many, several at once, on theatres that prepare has changed.
func tellStories(t *testing.T, count int, prepare func(*theatre)) {
	first := fromEnvironment(t, "PINWHEEL_STORY_SEED", firstSeed)
	farms := (count + chapters - 1) / chapters
	began := time.Now()
	var next, told, failed, lives atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range min(farms, 2*runtime.GOMAXPROCS(0)) {
		th := newTheatre(t)
		th.lives = &lives
		if prepare(th); farms == 1 {
			th.log = zerolog.New(zerolog.NewTestWriter(t))
		}
		wg.Go(func() {
			for n := int(next.Add(1)); n <= farms && ctx.Err() == nil; n = int(next.Add(1)) {
				seed := first + n - 1
				done, err := th.play(ctx, uint64(seed))
				told.Add(int64(done))
				if err != nil && ctx.Err() == nil {
					t.Errorf("%v\nagain: PINWHEEL_STORIES=1 PINWHEEL_STORY_SEED=%d go test ./internal/ingest -run '^%s$' -v", err, seed, t.Name())
					if failed.Add(1) == enough {
						cancel()
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d stories, seeds %d to %d, %d lives of a follower, in %s",
		told.Load(), first, first+farms-1, lives.Load(), time.Since(began).Round(time.Millisecond))
}
