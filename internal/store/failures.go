package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// FailureDays is over how many days failures are counted one by one.
const FailureDays = 14

// FailureGroup is what failed for one cause with one detail.
type FailureGroup struct {
	Cause   farm.Cause       `json:"cause"`
	Detail  string           `json:"detail"`
	Hint    string           `json:"hint"` // of the example
	Jobs    int64            `json:"jobs"`
	Share   float64          `json:"share"`         // of all jobs that have ended
	Week    int64            `json:"last_7_days"`   // that came to be failed in these
	Before  int64            `json:"before_7_days"` // in the 7 days before
	Days    []int64          `json:"days"`          // the same of each of the last FailureDays, today last
	Targets map[string]int64 `json:"targets"`
	Example FailureExample   `json:"example"` // the newest one
}

// FailureExample is one job of a group.
type FailureExample struct {
	Package string    `json:"package"`
	Version string    `json:"version"`
	Target  string    `json:"target"`
	Build   int64     `json:"build"` // for its log; 0: none has ended
	At      time.Time `json:"at"`
}

// Failures is what has failed, and how much that is.
type Failures struct {
	Schema int            `json:"schema"`
	Failed int64          `json:"failed"` // jobs, those of all groups
	Ended  int64          `json:"ended"`  // jobs that are built, failed or covered
	Week   int64          `json:"last_7_days"`
	Before int64          `json:"before_7_days"`
	Days   []int64        `json:"days"`
	Groups []FailureGroup `json:"groups"` // the largest first
	Others int64          `json:"others"` // groups that are left out
}

// Failures groups the failed jobs that the selector picks, the largest groups first,
// at most so many. They are counted in the index of failed jobs alone.
func (s *Store) Failures(ctx context.Context, sel Selector, limit int) (Failures, error) {
	f := Failures{Schema: 1, Groups: []FailureGroup{}, Days: make([]int64, FailureDays)}
	var err error
	if f.Ended, err = s.ended(ctx, sel); err != nil {
		return Failures{}, fmt.Errorf("count what has ended: %w", translate(err))
	}
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly} // of one moment
	err = pgx.BeginTxFunc(ctx, s.pool, opts, func(tx pgx.Tx) error {
		if err := f.count(ctx, tx, sel, limit); err != nil {
			return err
		}
		for i := range f.Groups {
			if err := f.Groups[i].illustrate(ctx, tx, sel); err != nil {
				return err
			}
			if f.Ended > 0 { // what failed since it was counted is in the groups only
				f.Groups[i].Share = float64(f.Groups[i].Jobs) / float64(f.Ended)
			}
		}
		return nil
	})
	if err != nil {
		return Failures{}, fmt.Errorf("group the failures: %w", translate(err))
	}
	return f, nil
}

// failed is where the failed jobs are that the selector picks, and joins only what the selector
// it asks for: without a package, the index has all.
func (sel Selector) failed() (from string, c conditions) {
	c.list = []string{`j.state = 'failed'`}
	from = ` from jobs j`
	if sel.Package != "" || sel.Version != "" {
		from = ` from packages p join releases r on r.package_id = p.id join jobs j on j.release_id = r.id`
		if sel.Package != "" {
			c.add(`p.name = %s`, sel.Package)
		}
		if sel.Version != "" {
			c.add(`%s in (r.version, r.raw)`, sel.Version)
		}
	}
	if sel.Target != "" {
		c.add(`j.target_id = (select id from targets where name = %s)`, sel.Target)
	}
	if sel.Cause != "" {
		c.add(`j.cause = %s`, string(sel.Cause))
	}
	return from, c
}

// count makes the groups: one row for each day and target of each, which is some
// thousand rows of millions of jobs.
func (f *Failures) count(ctx context.Context, tx pgx.Tx, sel Selector, limit int) error {
	from, c := sel.failed()
	q := `
with counted as materialized (
    select j.cause, j.detail, j.target_id, least(` + fmt.Sprint(FailureDays) + `,
        greatest(0, floor(date_part('epoch', now() - j.changed_at) / 86400)))::int as ago, count(*) as jobs
    from (select j.cause, j.detail, j.target_id, j.changed_at` + from + c.String() + `) j
    group by 1, 2, 3, 4
), ranked as (
    select cause, detail, sum(jobs) as jobs, row_number() over (order by sum(jobs) desc, cause, detail collate "C") as place
    from counted group by cause, detail
)
select r.place, coalesce(r.cause, ''), coalesce(r.detail, ''), t.name, c.ago, sum(c.jobs)::bigint
from counted c join ranked r using (cause, detail) join targets t on t.id = c.target_id
where r.place <= ` + c.arg(limit) + `
group by r.place, r.cause, r.detail, t.name, c.ago
union all
select -1, '', '', '', ago, sum(jobs)::bigint from counted group by ago
union all
select -2, '', '', '', 0, count(*) from ranked
order by 1, 4, 5`
	rows, err := tx.Query(ctx, q, c.args...)
	if err != nil {
		return err
	}
	var place, jobs int64
	var cause, detail, target string
	var ago int
	_, err = pgx.ForEachRow(rows, []any{&place, &cause, &detail, &target, &ago, &jobs}, func() error {
		switch {
		case place == -2:
			f.Others = max(0, jobs-int64(limit))
		case place == -1:
			f.Failed += jobs
			tally(ago, jobs, f.Days, &f.Week, &f.Before)
		default:
			if int(place) > len(f.Groups) {
				f.Groups = append(f.Groups, FailureGroup{Cause: farm.Cause(cause), Detail: detail,
					Days: make([]int64, FailureDays), Targets: map[string]int64{}})
			}
			g := &f.Groups[place-1]
			g.Jobs += jobs
			g.Targets[target] += jobs
			tally(ago, jobs, g.Days, &g.Week, &g.Before)
		}
		return nil
	})
	return err
}

// tally counts jobs that failed so many days ago.
func tally(ago int, jobs int64, days []int64, week, before *int64) {
	if ago >= len(days) {
		return
	}
	days[len(days)-1-ago] += jobs
	if ago < 7 {
		*week += jobs
	} else {
		*before += jobs
	}
}

// ended counts what the share is of: of all causes, whichever is asked for. Of a
// package that is a few rows; of all, the counts that are kept will do.
func (s *Store) ended(ctx context.Context, sel Selector) (n int64, err error) {
	sel.Cause = ""
	from, c := sel.failed()
	if err := s.pool.QueryRow(ctx, `select count(*)`+from+c.String(), c.args...).Scan(&n); err != nil {
		return 0, err
	}
	if sel.Package != "" || sel.Version != "" {
		c.list[0] = `j.state in ('built', 'covered')`
		var others int64
		err := s.pool.QueryRow(ctx, `select count(*)`+from+c.String(), c.args...).Scan(&others)
		return n + others, err
	}
	counts, err := s.counts(ctx)
	if err != nil {
		return 0, err
	}
	for target, states := range counts.Jobs {
		if sel.Target == "" || sel.Target == target {
			n += states[string(farm.Built)] + states[string(farm.Covered)]
		}
	}
	return n, nil
}

// illustrate finds the newest failure of a group.
func (g *FailureGroup) illustrate(ctx context.Context, tx pgx.Tx, sel Selector) error {
	sel.Cause = g.Cause
	from, c := sel.failed()
	c.add(`j.detail = %s`, g.Detail)
	q := `
select p.name, r.version, t.name, coalesce((
        select max(b.id) from builds b where b.job_id = e.id and b.ended_at is not null), 0), e.changed_at, e.hint
from (select j.id, j.release_id, j.target_id, j.changed_at, j.hint` + from + c.String() + `
    order by j.changed_at desc limit 1) e -- the newest: its log is the likeliest to be there
join releases r on r.id = e.release_id join packages p on p.id = r.package_id join targets t on t.id = e.target_id`
	x := &g.Example
	return tx.QueryRow(ctx, q, c.args...).Scan(&x.Package, &x.Version, &x.Target, &x.Build, &x.At, &g.Hint)
}
