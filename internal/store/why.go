package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// ReadingOf finds a project on the worklist; false: it is not there.
func (s *Store) ReadingOf(ctx context.Context, name string) (r Reading, ok bool, err error) {
	rows, err := s.pool.Query(ctx, `select `+readingColumns+` from reading r where r.name = $1`, name)
	if err == nil {
		r, err = pgx.CollectExactlyOneRow(rows, scanReading)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("look for %s on the worklist: %w", name, translate(err))
	}
	return r, true, nil
}

// JobNeeds tells the recipe of a job, what the job needs of a slave, and what of that the
// live slave of its target lacks that comes nearest; a target without live slaves lacks
// nothing: that is another trouble.
func (s *Store) JobNeeds(ctx context.Context, job int64) (n Needed, err error) {
	const q = `
select j.needs_memory, coalesce(j.needs_packages, '{}'), t.name, p.name, r.version,
    coalesce((select b.id from builds b where b.job_id = j.id and b.cause = 'out-of-memory' order by b.id desc limit 1), 0)
from jobs j join targets t on t.id = j.target_id
join releases r on r.id = j.release_id join packages p on p.id = r.package_id where j.id = $1`
	var target, pkg, version string
	var build int64
	err = s.pool.QueryRow(ctx, q, job).Scan(&n.Needs.Memory, &n.Needs.Packages, &target, &pkg, &version, &build)
	if err != nil {
		return n, fmt.Errorf("read what job %d needs: %w", job, translate(err))
	}
	book, err := readBook(ctx, s.pool)
	if err != nil {
		return n, err
	}
	n.Recipe = book.For(pkg, version, target)
	if n.Needs.IsZero() {
		return n, nil
	}
	if n.Needs.Memory > n.Recipe.Memory {
		n.Learnt = build
	}
	machines, err := liveMachines(ctx, s.pool)
	if err != nil || len(machines[target]) == 0 {
		return n, err
	}
	n.Lack = n.Needs.Unmet(machines[target])
	return n, nil
}

// Needed is what a job needs of a slave, and who says so.
type Needed struct {
	Needs  farm.Needs
	Lack   farm.Needs  // of it, what the live slave lacks that is nearest
	Recipe farm.Recipe // of the job: what needs beyond it were learnt
	Learnt int64       // the build that ran out of memory, of which more was learnt than the recipe says; 0: none
}

// ReleaseWheel is a wheel of a release, with the target that it was built on.
type ReleaseWheel struct {
	Filename string
	Target   string
	Size     int64
	Withheld bool // the upstream holds its project or its release back

	CopyOf   string // the wheel of which it is a copy, for armv6l; "": it is none
	NoARMv6l string // why it has no such copy; "": it has one, is one, or needs none
}

// WheelsOf lists the wheels of one release.
func (s *Store) WheelsOf(ctx context.Context, release int64) ([]ReleaseWheel, error) {
	const q = `
select w.filename, t.name, w.size, r.quarantined or p.status = 'quarantined', coalesce(o.filename, ''),
       case when w.filename like '%-linux\_armv7l.whl' then coalesce(w.no_armv6l, 'nobody has looked yet') else '' end
from wheels w left join wheels o on o.id = w.copy_of join builds b on b.id = w.build_id join jobs j on j.id = b.job_id join targets t on t.id = j.target_id
join releases r on r.id = w.release_id join packages p on p.id = r.package_id
where w.release_id = $1 order by t.rank, w.filename`
	rows, err := s.pool.Query(ctx, q, release)
	if err != nil {
		return nil, fmt.Errorf("list the wheels of a release: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ReleaseWheel])
	if err != nil {
		return nil, fmt.Errorf("list the wheels of a release: %w", translate(err))
	}
	return out, nil
}
