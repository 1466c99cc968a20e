package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Statements whose plans are tested.
const (
	ClaimSQL       = claim
	ClaimNeedySQL  = claimNeedy
	IssuedSQL      = issued
	CountNeededSQL = countNeeded
	QueuedKindsSQL = queuedKinds
	TakeReadingSQL = takeReading
	NextReadingSQL = nextReading
)

// FinishFailedTogether is FinishFailed for those that meet.
func (s *Store) FinishFailedTogether(ctx context.Context, endings ...Ending) (res []Result, errs []error) {
	var list []*failing
	for _, e := range endings {
		list = append(list, &failing{Ending: e})
	}
	s.finishAllFailed(ctx, list)
	for _, f := range list {
		res, errs = append(res, f.res), append(errs, f.err)
	}
	return res, errs
}

// InTx runs f in a transaction of its own.
func (s *Store) InTx(ctx context.Context, f func(pgx.Tx) error) error { return s.inTx(ctx, "test", f) }

// LeadAndFreeze begins to lead for key and does nothing more.
func (s *Store) LeadAndFreeze(ctx context.Context, key string) (*pgx.Conn, error) {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	conn := pooled.Hijack()
	mine, err := lockLead(ctx, conn, key)
	if err == nil && !mine {
		err = errors.New("somebody leads already")
	}
	return conn, err
}
