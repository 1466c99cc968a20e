package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"pinwheel/internal/farm"
	farmsql "pinwheel/sql"
)

// Migrate brings the schema at dsn to this binary's version, under an advisory
// lock, so that two masters may start at once. It reports the versions before
// and after. A newer schema is left alone: migrations only go forward, and this
// binary works on it (style 17).
func Migrate(ctx context.Context, dsn string) (from, to int64, err error) {
	db, provider, err := migrations(ctx, dsn)
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	if from, err = schemaVersion(ctx, db); err != nil {
		return 0, 0, err
	}
	if from > newest(provider) {
		return from, from, nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return from, from, fmt.Errorf("migrate the database from version %d: %w", from, err)
	}
	to, err = schemaVersion(ctx, db)
	return from, to, err
}

// CheckSchema tells the database's schema version and the one this binary wants.
func CheckSchema(ctx context.Context, dsn string) (have, want int64, err error) {
	db, provider, err := migrations(ctx, dsn)
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	have, err = schemaVersion(ctx, db)
	return have, newest(provider), err
}

// migrations opens a database that answers, and what could be done to it.
func migrations(ctx context.Context, dsn string) (*sql.DB, *goose.Provider, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, nil, explain(err)
	}
	settle(cfg)
	db := stdlib.OpenDB(*cfg) // goose speaks database/sql
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, nil, explain(err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		db.Close()
		return nil, nil, fmt.Errorf("make the migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, farmsql.FS, goose.WithSessionLocker(locker))
	if err != nil {
		db.Close()
		return nil, nil, fmt.Errorf("read the migrations: %w", err)
	}
	return db, provider, nil
}

func newest(p *goose.Provider) int64 {
	var v int64
	for _, s := range p.ListSources() {
		v = max(v, s.Version)
	}
	return v
}

// schemaVersion is 0 for a database that was never migrated. It asks by itself
// rather than through goose, which would create its table: a check writes nothing.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var v int64
	err := db.QueryRowContext(ctx, `select coalesce(max(version_id), 0) from goose_db_version where is_applied`).Scan(&v)
	if undefinedTable(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	return v, nil
}

func undefinedTable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42P01"
}

// Schema says whether the schema is still one that this binary works on; else the
// error is farm.ErrSchema.
func (s *Store) Schema(ctx context.Context) error { return s.checkSchema(ctx) }

func (s *Store) checkSchema(ctx context.Context) error {
	have, want, err := CheckSchema(ctx, s.pool.Config().ConnString())
	if err != nil {
		return err
	}
	if have < want {
		return fmt.Errorf("%w: it has version %d, this program wants %d; run `master migrate`", farm.ErrSchema, have, want)
	}
	return nil
}
