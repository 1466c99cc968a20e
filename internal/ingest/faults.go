package ingest

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/pypi"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// faults carries what the upstream did wrong into the database, where `status`
// finds it.
type faults struct {
	store  *store.Store
	stats  []func() pypi.Stats
	mu     sync.Mutex
	own    map[string]int64 // what only we notice
	detail map[string]string
	told   map[string]int64 // what is in the database already
}

// count takes down what no client can know to be wrong.
func (f *faults) count(kind, detail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own[kind]++
	f.detail[kind] = short(detail)
}

// note keeps the words of the last fault of a kind; the client counts it.
func (f *faults) note(err error) {
	kind := pypi.FaultOf(err)
	if kind == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.detail[string(kind)] = short(err.Error())
}

// run writes what is new, until ctx ends.
func (f *faults) run(log zerolog.Logger) func(context.Context) error {
	return service.Loop{Every: 5 * time.Second, Log: log, Do: f.flush}.Run
}

func (f *faults) flush(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := maps.Clone(f.own)
	borne := map[string]string{}
	for _, stats := range f.stats {
		s := stats()
		for kind, n := range s.Faults {
			now[string(kind)] += n
		}
		for kind, words := range s.Borne {
			borne[string(kind)] = short(words)
		}
	}
	var fresh []store.UpstreamFault
	for kind, n := range now {
		if n > f.told[kind] {
			fresh = append(fresh, store.UpstreamFault{Kind: kind, Count: n - f.told[kind], Detail: cmp.Or(f.detail[kind], borne[kind])})
		}
	}
	// Lost with the process between two flushes, or counted twice if the answer to
	// a commit is lost: they are for people, who look at their order of magnitude.
	if err := f.store.CountFaults(ctx, fresh); err != nil {
		return err
	}
	f.told = now
	return nil
}
