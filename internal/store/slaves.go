package store

import (
	"context"
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
	PausedWhy string     `json:"paused_why"` // empty: nobody has paused it, or nobody said why
	Faults    int        `json:"faults"`     // of its own, since a build last ended by itself
	Memory    int64      `json:"-"`          // bytes, as it told; 0: unknown
	Packages  string     `json:"-"`          // the key of its Debian packages, for Store.PackagesOf
	Doing     string     `json:"doing"`
	Leases    int        `json:"leases"` // jobs that are its own until it has reported; of Slaves only
	LastSeen  *time.Time `json:"last_seen"`
	Version   string     `json:"version"` // of its program, as its hello told
	Model     string     `json:"machine"` // "Raspberry Pi 4 Model B", likewise
	Pulse     farm.Pulse `json:"pulse"`   // of its last beat; zero before the first
	Now       time.Time  `json:"-"`       // by the database's clock, which is the farm's
}

// EnrollSlave records a name with its key, and in the audit trail who did so. A name that is taken and not revoked
// is farm.ErrConflict: its holder's credentials stay good.
func (s *Store) EnrollSlave(ctx context.Context, name string, role farm.Role, publicKey, actor string) error {
	const q = `
insert into slaves (name, role, public_key) values ($1, $2, $3)
on conflict (name) do update set
    role = excluded.role, public_key = excluded.public_key, enrolled_at = now(), revoked_at = null,
    paused = false, paused_why = '', faults = 0
where slaves.revoked_at is not null`
	return s.inTx(ctx, "enroll "+name, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, q, name, string(role), publicKey)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("%w: the name is taken; `master revoke %s` frees it", farm.ErrConflict, name)
		}
		return note(ctx, tx, actor, ActionEnroll, name, map[string]any{"role": role})
	})
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
select id, name, role, public_key, revoked_at is not null, paused, paused_why, faults,
       coalesce((hello ->> 'memory')::bigint, 0), packages_key, doing,
       -- not for one, who is asked for with each report: while a snapshot is old, what is dead in that index is walked over
       case when $1 = '' then (select count(*) from jobs j where j.lease_slave_id = slaves.id and j.state = 'leased') else 0 end, last_seen,
       coalesce(hello ->> 'version', ''), coalesce(hello ->> 'machine', ''), coalesce(beat, '{}'), now()
from slaves where $1 in ('', name) order by name`
	rows, err := s.pool.Query(ctx, q, name)
	if err != nil {
		return nil, translate(err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (SlaveRow, error) {
		var w SlaveRow
		err := r.Scan(&w.ID, &w.Name, &w.Role, &w.PublicKey, &w.Revoked, &w.Paused, &w.PausedWhy, &w.Faults, &w.Memory, &w.Packages, &w.Doing, &w.Leases, &w.LastSeen,
			&w.Version, &w.Model, &w.Pulse, &w.Now)
		return w, err
	})
}
