package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// SinceSetting is the serial at which the farm began to follow; "0": it was given all
// that the upstream had before, by a backfill.
const SinceSetting = "follow-since"

// FollowsSetting is the index that the rows of the follower are about. UpstreamSetting
// may name another one already.
const FollowsSetting = "follows"

// Follows says which index is followed from now on. If it was another one before,
// that is returned, and in the same transaction everything is forgotten that was a
// word of its and means something else in another's mouth: serials, ETags, announced
// removals, which releases it holds back, and where the follower stands. Projects, jobs and wheels stay, and are
// compared with the new index in their turn; at once, if the farm had everything
// that the former one had.
//
// A farm that follows another index than index and leaves is farm.ErrConflict: what
// the new one lacks would be taken down because of a wrong word somewhere.
func (s *Store) Follows(ctx context.Context, index, leaves string) (former string, err error) {
	const keep = `
insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value
returning coalesce((select value from settings where name = $1), '') -- as it was before this statement`
	err = s.inTx(ctx, "keep which index is followed", func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, keep, FollowsSetting, index).Scan(&former); err != nil {
			return err
		}
		if former == "" || former == index {
			former = ""
			return nil
		}
		if former != leaves {
			return fmt.Errorf("%w: this farm follows %s, not %s", farm.ErrConflict, former, index)
		}
		return forgetFormer(ctx, tx)
	})
	return former, err
}

func forgetFormer(ctx context.Context, tx pgx.Tx) error {
	// First of its locks, as where events say it: see keepHolds.
	if _, err := tx.Exec(ctx, `delete from held`); err != nil {
		return err
	}
	const again = `
insert into walks (kind) select 'backfill' from settings where name = $1 and value = '0'
on conflict (kind) where ended_at is null do update set listed_at = null`
	if _, err := tx.Exec(ctx, again, SinceSetting); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `delete from settings where name = $1`, SinceSetting); err != nil {
		return err
	}
	// The schema lets no serial go back: that of another index is in another row.
	var planned string
	if err := tx.QueryRow(ctx, `delete from following returning fingerprint`).Scan(&planned); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `insert into following (fingerprint) values ($1)`, planned); err != nil {
		return err
	}
	// Whoever decides just now by what he read of the former one has to decide again.
	if _, err := tx.Exec(ctx, `update packages set serial = 0, etag = '', read_at = null, revision = revision + 1`); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `update reading set serial = 0, gone = false, revision = revision + 1 where serial > 0 or gone`)
	return err
}
