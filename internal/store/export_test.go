package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"pinwheel/internal/farm"
)

// ClaimGroupSQL claims for so many slaves.
func ClaimGroupSQL(slaves int) string { return claimFor(slaves) }

// Replanned are the statements of claims that were planned anew for their arguments, and
// how often any of them was sent.
func (s *Store) Replanned(ctx context.Context) (replanned []string, sent int64, err error) {
	for _, conn := range s.brief.AcquireAllIdle(ctx) {
		defer conn.Release()
		const q = `
select statement, generic_plans, custom_plans from pg_prepared_statements
where statement not like '%set_config%' -- what a connection begins with`
		rows, err := conn.Query(ctx, q, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return nil, 0, err
		}
		var statement string
		var generic, custom int64
		if _, err := pgx.ForEachRow(rows, []any{&statement, &generic, &custom}, func() error {
			if sent += generic; custom > 0 {
				replanned = append(replanned, statement)
			}
			return nil
		}); err != nil {
			return nil, 0, err
		}
	}
	return replanned, sent, nil
}

// Statements whose plans are tested.
const (
	ClaimSQL       = claim
	ClaimNeedySQL  = claimNeedy
	IssuedSQL      = issued
	AwaitedSQL     = `select ` + awaited + ` from packages p where p.name = $1`
	QueuedKindsSQL = queuedKinds
	TakeReadingSQL = takeReading
	NextReadingSQL = nextReading
	PutBackSQL     = putBackJobs
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

// SetClaimWithin bounds a claim, and a transaction of several.
func (s *Store) SetClaimWithin(d time.Duration) { s.claimWithin = d }

// together are claims of the first target of each, that meet.
func (s *Store) together(reqs []ClaimRequest) (list []*claiming) {
	for _, c := range reqs {
		in := lane{target: c.Targets[0]}
		list = append(list, s.newClaiming(c, in, everything(), s.heads.get(in), false))
	}
	return list
}

func leasesOf(list []*claiming) (leases []farm.Lease, errs []error) {
	for _, c := range list {
		ok, err := found(c.err)
		if !ok {
			c.lease = farm.Lease{}
		}
		leases, errs = append(leases, c.lease), append(errs, err)
	}
	return leases, errs
}

// ClaimTogether is one look at the queue, of claims that meet.
func (s *Store) ClaimTogether(ctx context.Context, reqs ...ClaimRequest) (leases []farm.Lease, errs []error) {
	list := s.together(reqs)
	s.claimAll(ctx, list)
	return leasesOf(list)
}

// ClaimTogetherIn is what ClaimTogether does first, in a transaction that goes on.
func (s *Store) ClaimTogetherIn(ctx context.Context, tx pgx.Tx, reqs ...ClaimRequest) (leases []farm.Lease, errs []error) {
	list := s.together(reqs)
	var turn pgx.Batch
	var left []*claiming
	queueClaims(&turn, list, &left)
	if err := tx.SendBatch(ctx, &turn).Close(); err != nil {
		return nil, []error{err}
	}
	return leasesOf(list)
}

// KnowsOfOutage says whether a connection was found to be broken; a pool is told a moment
// after whoever used it.
func (s *Store) KnowsOfOutage() bool { return s.outages.last.Load() > 0 }

// OpenExplained is Open with what the server says of the statements of the brief pool.
func OpenExplained(ctx context.Context, dsn string, hear func(string)) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	settle(cfg.ConnConfig)
	s, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.brief.Close()
	cfg.AfterConnect = plannedOnce
	cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { hear(n.Message) }
	s.brief, err = pgxpool.NewWithConfig(ctx, cfg)
	return s, err
}
