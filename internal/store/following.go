package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Following is where the follower of the upstream stands.
type Following struct {
	Source      string     `json:"source"`   // "changelog", "serials", "none"; "" before the first word
	Changelog   bool       `json:"-"`        // the upstream has one, and it answered within a day
	Serial      int64      `json:"serial"`   // everything up to here was read, or is on the worklist
	Moved       *time.Time `json:"moved_at"` // when the serial last moved
	Asked       *time.Time `json:"asked_at"` // when the upstream last answered
	Trouble     string     `json:"trouble"`  // why it does not answer; "" : it does
	NamesETag   string     `json:"-"`        // of the list of names that was walked last
	Fingerprint string     `json:"-"`        // of targets and policy, by which all jobs were planned
}

// Following reads it.
func (s *Store) Following(ctx context.Context) (Following, error) {
	const q = `
select source, ` + changelogThere + `, serial, moved_at, asked_at, trouble, names_etag, fingerprint from following f`
	var f Following
	err := s.pool.QueryRow(ctx, q).Scan(&f.Source, &f.Changelog, &f.Serial, &f.Moved, &f.Asked, &f.Trouble, &f.NamesETag, &f.Fingerprint)
	if err != nil {
		return Following{}, fmt.Errorf("read where the follower stands: %w", translate(err))
	}
	return f, nil
}

// changelogThere says whether a changelog is waited for, though it may not answer now:
// for a day. What it would have told of pages and lists is not believed before; one
// whose next page can never be read must not keep all of them from being believed.
const changelogThere = `coalesce(f.changelog_at > now() - interval '1 day', false)`

// HeardUpstream keeps which source of events the follower uses and how it fares:
// without trouble, it has just answered.
func (s *Store) HeardUpstream(ctx context.Context, source, trouble string) error {
	const q = `
update following set source = $1, trouble = $2, asked_at = case when $2 = '' then now() else asked_at end,
    changelog_at = case when $1 = 'changelog' and $2 = '' then now() else changelog_at end`
	if _, err := s.pool.Exec(ctx, q, source, trouble); err != nil {
		return fmt.Errorf("keep the upstream's answer: %w", translate(err))
	}
	return nil
}

// NoChangelog keeps that the upstream has none, as opposed to one that does not
// answer: nothing will be told of what pages and lists leave open.
func (s *Store) NoChangelog(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, `update following set changelog_at = null`); err != nil {
		return fmt.Errorf("keep that there is no changelog: %w", translate(err))
	}
	return nil
}

// SetSerial moves the follower's serial without events: at the first start, and
// after a walk that saw everything. It only moves forward, else it is
// farm.ErrConflict.
func (s *Store) SetSerial(ctx context.Context, serial int64) error {
	const q = `
update following set serial = $1, moved_at = case when serial < $1 then now() else moved_at end where serial <= $1`
	tag, err := s.pool.Exec(ctx, q, serial)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("%w: it is further already", farm.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("move the serial to %d: %w", serial, translate(err))
	}
	return nil
}

// SetNamesETag keeps the ETag of a list of names that was walked to its end.
func (s *Store) SetNamesETag(ctx context.Context, etag string) error {
	if _, err := s.pool.Exec(ctx, `update following set names_etag = $1`, etag); err != nil {
		return fmt.Errorf("keep the ETag of the list of names: %w", translate(err))
	}
	return nil
}

// UpstreamFault is what the upstream did wrong, by kind.
type UpstreamFault struct {
	Kind   string    `json:"kind"`
	Count  int64     `json:"count"`
	Last   time.Time `json:"last_at"`
	Detail string    `json:"detail"` // of the last one
}

// CountFaults adds to the counts; the times are not read.
func (s *Store) CountFaults(ctx context.Context, faults []UpstreamFault) error {
	if len(faults) == 0 {
		return nil
	}
	const q = `
insert into upstream_faults (kind, count, detail)
select kind, count, detail from unnest($1::text[], $2::bigint[], $3::text[]) as f (kind, count, detail)
on conflict (kind) do update set
    count = upstream_faults.count + excluded.count, last_at = now(), detail = excluded.detail`
	var kinds, details []string
	var counts []int64
	for _, f := range summed(faults) {
		kinds, counts, details = append(kinds, f.Kind), append(counts, f.Count), append(details, f.Detail)
	}
	if _, err := s.pool.Exec(ctx, q, kinds, counts, details); err != nil {
		return fmt.Errorf("count the upstream's faults: %w", translate(err))
	}
	return nil
}

// summed has each kind once, in the order in which all lock them.
func summed(faults []UpstreamFault) []UpstreamFault {
	by := map[string]UpstreamFault{}
	for _, f := range faults {
		f.Count += by[f.Kind].Count
		by[f.Kind] = f
	}
	var out []UpstreamFault
	for _, f := range by {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b UpstreamFault) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// Faults lists the upstream's faults, the newest first.
func (s *Store) Faults(ctx context.Context) ([]UpstreamFault, error) {
	rows, err := s.pool.Query(ctx, `select kind, count, last_at, detail from upstream_faults order by last_at desc, kind`)
	if err != nil {
		return nil, fmt.Errorf("list the upstream's faults: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[UpstreamFault])
	if err != nil {
		return nil, fmt.Errorf("list the upstream's faults: %w", translate(err))
	}
	return out, nil
}
