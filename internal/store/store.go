// Package store is every SQL statement of the farm, one file per noun, and the
// only user of pgx. An exported method is one transaction: after a crash either
// all of it happened or nothing. Foreign errors become farm's sentinels here. It
// decides no policy and calls nobody back.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"pinwheel/internal/farm"
)

// Store is two pools of connections to one farm's database.
type Store struct {
	pool     *pgxpool.Pool
	brief    *pgxpool.Pool // of statements that come all the time, see plannedOnce
	outages  *outages
	heads    heads
	needs    *needs
	left     leftover
	books    bookCache
	lists    packageLists
	failing  turns[*failing]
	arriving turns[*arriving]
	asking   turns[*asking]
	claiming turns[*claiming]
	listing  turns[*listed]
	looked   atomic.Bool // at kept counts, since they were counted

	claimWithin time.Duration // of a claim, and of a transaction of several
}

// Open connects to dsn and checks that the schema is this binary's or a newer
// one. An older schema is farm.ErrSchema, and the error names the remedy. A tracer, if
// there is one, hears of each statement.
func Open(ctx context.Context, dsn string, tracer ...Tracer) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, explain(err)
	}
	settle(cfg.ConnConfig)
	if len(tracer) > 0 && tracer[0] != nil {
		cfg.ConnConfig.Tracer = watch{tracer[0]}
	}
	return open(ctx, cfg)
}

func open(ctx context.Context, cfg *pgxpool.Config) (*Store, error) {
	// Several stages and hundreds of slaves share the pools; a claim takes a
	// millisecond, so a few connections serve them all.
	cfg.MaxConns = max(cfg.MaxConns, 16)
	brief := cfg.Copy()
	brief.MaxConns, brief.MinConns, brief.MinIdleConns = briefConns, 0, 0
	brief.MaxConnLifetime, brief.MaxConnLifetimeJitter = plansLast, plansLast/4
	cfg.AfterConnect, brief.AfterConnect = watched, plannedOnce
	o := &outages{began: time.Now()}
	o.watch(cfg)
	o.watch(brief)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, explain(err)
	}
	briefly, err := pgxpool.NewWithConfig(ctx, brief)
	if err != nil {
		pool.Close()
		return nil, explain(err)
	}
	s := &Store{
		pool: pool, brief: briefly, outages: o, needs: newNeeds(),
		failing: turns[*failing]{most: failedTogether}, arriving: turns[*arriving]{most: builtTogether},
		claiming: turns[*claiming]{most: claimsTogether, lingers: (*claiming).woken, sooner: (*claiming).sooner}, claimWithin: claimWithin,
	}
	if err := s.checkSchema(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends all connections; calls under way are waited for.
func (s *Store) Close() {
	s.pool.Close()
	s.brief.Close()
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	for _, pool := range []*pgxpool.Pool{s.pool, s.brief} {
		if err := pool.Ping(ctx); err != nil {
			return fmt.Errorf("ping the database: %w", err)
		}
	}
	return nil
}

// inTx runs f in one transaction and commits it when f returns nil.
func (s *Store) inTx(ctx context.Context, what string, f func(pgx.Tx) error) error {
	return inTx(ctx, s.pool, what, f)
}

// inBrief is inTx on a connection that has planned its statements.
func (s *Store) inBrief(ctx context.Context, what string, f func(pgx.Tx) error) error {
	return inTx(ctx, s.brief, what, f)
}

func inTx(ctx context.Context, pool *pgxpool.Pool, what string, f func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, pool, f)
	if err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	return nil
}

// translate turns pgx's and Postgres's words into farm's.
func translate(err error) error {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return farm.ErrNotFound
	case errors.As(err, &pg) && pg.Code == "23505": // unique_violation
		return fmt.Errorf("%w: %s", farm.ErrConflict, pg.Detail)
	}
	return err
}
