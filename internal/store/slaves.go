package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// SlaveRow is one enrolled name.
type SlaveRow struct {
	ID        int64      `json:"-"`
	Name      string     `json:"name"`
	Role      farm.Role  `json:"role"`
	PublicKey string     `json:"-"` // for the master's own use: nobody who reads JSON needs it
	Revoked   bool       `json:"revoked"`
	Paused    bool       `json:"paused"`
	Doing     string     `json:"doing"`
	LastSeen  *time.Time `json:"last_seen"`
}

// EnrollSlave records a name with its key. A name that is taken and not revoked
// is farm.ErrConflict: its holder's credentials stay good.
func (s *Store) EnrollSlave(ctx context.Context, name string, role farm.Role, publicKey string) error {
	const q = `
insert into slaves (name, role, public_key) values ($1, $2, $3)
on conflict (name) do update set
    role = excluded.role, public_key = excluded.public_key, enrolled_at = now(), revoked_at = null, paused = false
where slaves.revoked_at is not null`
	tag, err := s.pool.Exec(ctx, q, name, string(role), publicKey)
	if err != nil {
		return fmt.Errorf("enroll %s: %w", name, translate(err))
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("enroll %s: %w: the name is taken; `master revoke %s` frees it", name, farm.ErrConflict, name)
	}
	return nil
}

// Slave finds one slave by name.
func (s *Store) Slave(ctx context.Context, name string) (SlaveRow, error) {
	list, err := s.slaves(ctx, name)
	if err == nil && len(list) == 0 {
		err = farm.ErrNotFound
	}
	if err != nil {
		return SlaveRow{}, fmt.Errorf("slave %s: %w", name, err)
	}
	return list[0], nil
}

// Slaves lists all enrolled names.
func (s *Store) Slaves(ctx context.Context) ([]SlaveRow, error) {
	list, err := s.slaves(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list slaves: %w", err)
	}
	return list, nil
}

func (s *Store) slaves(ctx context.Context, name string) ([]SlaveRow, error) {
	const q = `
select id, name, role, public_key, revoked_at is not null, paused, doing, last_seen
from slaves where $1 in ('', name) order by name`
	rows, err := s.pool.Query(ctx, q, name)
	if err != nil {
		return nil, translate(err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (SlaveRow, error) {
		var w SlaveRow
		err := r.Scan(&w.ID, &w.Name, &w.Role, &w.PublicKey, &w.Revoked, &w.Paused, &w.Doing, &w.LastSeen)
		return w, err
	})
}

// SlaveSaidHello keeps what a slave told of itself.
func (s *Store) SlaveSaidHello(ctx context.Context, slave int64, hello any) error {
	body, err := json.Marshal(hello)
	if err != nil {
		return fmt.Errorf("keep the hello of slave %d: %w", slave, err)
	}
	const q = `update slaves set last_seen = now(), hello = $2 where id = $1`
	if _, err := s.pool.Exec(ctx, q, slave, body); err != nil {
		return fmt.Errorf("keep the hello of slave %d: %w", slave, translate(err))
	}
	return nil
}
