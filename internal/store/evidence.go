package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// FailedBuild is what is kept of the newest build of a failed job: by what it wrote,
// jobs can be picked.
type FailedBuild struct {
	Job       int64
	Build     int64 // 0: none has ended
	Package   string
	Version   string
	Target    string
	Excerpt   string // ≤ 2 kB of the log
	LogSHA256 string // of the whole one; empty: there is none
	LogSize   int64  // bytes
}

// FailedJobs lists the ids of the failed jobs that the selector picks, lowest first:
// eight bytes for each of millions. What they wrote is read piece by piece, so that
// no snapshot is held meanwhile: see FailedBuilds.
func (s *Store) FailedJobs(ctx context.Context, sel Selector) ([]int64, error) {
	c := sel.conditions()
	c.list = append(c.list, `j.state = 'failed'`)
	rows, err := s.pool.Query(ctx, `select j.id`+selectable+c.String()+` order by j.id`, c.args...)
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", translate(err))
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", translate(err))
	}
	return ids, nil
}

// FailedBuilds reads what these jobs left, those of them that are still failed, by
// their ids. A piece of them is to be asked for at once, not all.
func (s *Store) FailedBuilds(ctx context.Context, jobs []int64) ([]FailedBuild, error) {
	const q = `
select j.id, coalesce(b.id, 0), p.name, r.version, t.name, coalesce(b.excerpt, ''), coalesce(b.log_sha256, ''), coalesce(b.log_size, 0)
` + selectable + newestBuild + `
where j.id = any($1) and j.state = 'failed' order by j.id`
	rows, err := s.pool.Query(ctx, q, jobs)
	if err != nil {
		return nil, fmt.Errorf("read what failed jobs left: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FailedBuild])
	if err != nil {
		return nil, fmt.Errorf("read what failed jobs left: %w", translate(err))
	}
	return out, nil
}
