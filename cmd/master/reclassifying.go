package main

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Bounds of a reclassification: memory holds two pieces, and so many lines of what
// no rule explains.
const (
	reclassifyPiece = 1000 // jobs read at once, some 2 MB
	manyLines       = 1000 // kept of what no rule explains, and printed as JSON
	fewLines        = 20   // printed for people
)

// reclassifying is one run over all failed jobs, in the order of their ids.
type reclassifying struct {
	st    *store.Store
	rules *farm.Rules
	dry   bool
	told  func()

	began              time.Time
	first, last, place int64 // ids of jobs
	run                store.Reclassification
	unexplained        *farm.Tally // what logs say that no rule was written for
}

// all reads, judges and writes piece by piece; while one is judged and written, the
// next is read.
func (r *reclassifying) all(ctx context.Context) error {
	var err error
	if r.first, r.last, err = r.st.JobSpan(ctx); err != nil {
		return err
	}
	piece, err := r.st.Diagnoses(ctx, 0, reclassifyPiece)
	for err == nil && len(piece) > 0 {
		var next []store.Diagnosis
		g, both := errgroup.WithContext(ctx)
		g.Go(func() (err error) {
			next, err = r.st.Diagnoses(both, piece[len(piece)-1].Job, reclassifyPiece)
			return err
		})
		g.Go(func() error { return r.piece(both, piece) })
		err = g.Wait()
		piece = next
	}
	if err != nil {
		return err
	}
	return r.st.EndReclassification(ctx, &r.run)
}

func (r *reclassifying) piece(ctx context.Context, piece []store.Diagnosis) error {
	now, explained := r.judge(piece)
	var changed []store.Rediagnosis
	for i, d := range piece {
		if !explained[i] {
			r.unexplained.Add(farm.Gist(d.Excerpt))
		}
		if now[i] != d.Failure || now[i].Cause != d.Cause {
			changed = append(changed, store.Rediagnosis{Diagnosis: d, Now: now[i]})
		}
	}
	r.run.Read += int64(len(piece))
	r.place = piece[len(piece)-1].Job
	defer r.told()
	if r.dry {
		for _, d := range changed {
			r.run.Moves[d.Move()]++
		}
		return nil
	}
	if len(changed) == 0 {
		return nil
	}
	return r.st.Rediagnose(ctx, &r.run, changed)
}

// judge asks the rules, on all processors.
func (r *reclassifying) judge(piece []store.Diagnosis) (now []farm.Failure, explained []bool) {
	now, explained = make([]farm.Failure, len(piece)), make([]bool, len(piece))
	var g errgroup.Group
	share := (len(piece) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for from := 0; from < len(piece); from += share {
		g.Go(func() error {
			for i := from; i < min(from+share, len(piece)); i++ {
				d := piece[i]
				now[i] = r.rules.Judge(d.Failure, d.From, d.Excerpt)
				explained[i] = now[i].Cause != farm.Unknown && (now[i].Cause != farm.BuildBackend || r.rules.Explains(d.Excerpt))
			}
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	return now, explained
}
