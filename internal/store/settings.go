package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// What a running daemon keeps for the commands beside it.
const (
	UpstreamSetting = "upstream"       // the index that it follows, its simple/ URL
	SiteSetting     = "site"           // base URL of the site
	LeasesSetting   = "project-leases" // how many jobs of one project may be leased at once
)

// Settle keeps a setting of the running daemon for the commands beside it.
func (s *Store) Settle(ctx context.Context, name, value string) error {
	const q = `
insert into settings (name, value) values ($1, $2)
on conflict (name) do update set value = excluded.value`
	if _, err := s.pool.Exec(ctx, q, name, value); err != nil {
		return fmt.Errorf("keep the setting %s: %w", name, translate(err))
	}
	return nil
}

// Settled is a setting of the daemon that ran last; empty if none ever kept it.
func (s *Store) Settled(ctx context.Context, name string) (string, error) {
	var value string
	err := s.pool.QueryRow(ctx, `select value from settings where name = $1`, name).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the setting %s: %w", name, translate(err))
	}
	return value, nil
}
