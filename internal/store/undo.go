package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Undone is what came of taking a maintainer's word back.
type Undone struct {
	Audit   int64             // the row of the audit trail that says so
	Of      Note              // what was taken back
	Jobs    int64             // that are again what they were
	Moved   map[string]int64  // the others, which have moved on, by their state now
	First   []JobRow          // the first few of those
	Gone    int64             // jobs that there are no more
	Lifted  []Skip            // words of maintainers that were kept by it, and are not any more
	Kept    []Skip            // those that were lifted by it, and are kept again
	Recipes []farm.RecipeEdit // that were changed by it, and are again what they were
	Others  int64             // failed jobs beside Jobs that may end otherwise by that, and stay as they are
}

// Undo takes a requeue, a priority, a skip, an unskip or a change of recipes back, by its number
// in the audit trail: jobs that have not moved since are what they were, to the time
// that they have been so; the others are counted. Few bounds how many of them are
// named. It may be done once. farm.ErrNotFound: there is no such row;
// farm.ErrConflict: it was taken back, or what it changed was changed since.
func (s *Store) Undo(ctx context.Context, audit int64, actor string, few int) (Undone, error) {
	var out Undone
	err := untangled(func() error {
		out = Undone{Moved: map[string]int64{}}
		return s.inTx(ctx, fmt.Sprintf("undo %d", audit), func(tx pgx.Tx) error {
			return out.run(ctx, tx, audit, actor, few)
		})
	})
	return out, err
}

func (u *Undone) run(ctx context.Context, tx pgx.Tx, audit int64, actor string, few int) error {
	said, err := u.find(ctx, tx, audit)
	if err != nil {
		return err
	}
	recipes, err := u.takeRecipesBack(ctx, tx, said.Edits, actor)
	if err != nil {
		return err
	}
	if err := u.takeSkipsBack(ctx, tx, said.saidSkips); err != nil {
		return err
	}
	// With those that some are to wait for again: whoever ends one of these is served
	// before, or sees who waits.
	const lock = `
select j.id from jobs j where j.id in (
    select m.job_id from moved_jobs m where m.audit_id = $1
    union select o.id from moved_jobs m join jobs w on w.id = m.job_id
    join jobs o on o.release_id = w.release_id and o.target_id = (m.was ->> 'waits_target_id')::bigint
    where m.audit_id = $1 and m.was ->> 'waits_target_id' is not null)
order by j.id -- the same for all who lock several
for update of j`
	if _, err := tx.Exec(ctx, lock, audit); err != nil {
		return err
	}
	ended, n, err := putBack(ctx, tx, audit)
	if err != nil {
		return err
	}
	u.Jobs = n
	if err := u.recipesOver(ctx, recipes, ended); err != nil {
		return err
	}
	// What has its outcome again keeps nobody waiting, who began to while it had none.
	if len(ended) > 0 {
		if err := decide(ctx, tx, ended, nil, ""); err != nil {
			return err
		}
	}
	if err := u.others(ctx, tx, audit, few); err != nil {
		return err
	}
	return u.close(ctx, tx, audit, actor)
}

// find reads what is to be taken back, and keeps others from doing so meanwhile.
func (u *Undone) find(ctx context.Context, tx pgx.Tx, audit int64) (said said, err error) {
	const q = `
select a.id, a.at, a.actor, a.action, a.subject, coalesce(a.undone_by, 0), a.detail, a.at < now() - ` + remembered + `
from audit_trail a where a.id = $1 for update`
	var old bool
	var detail []byte
	err = tx.QueryRow(ctx, q, audit).Scan(&u.Of.ID, &u.Of.At, &u.Of.Actor, &u.Of.Action, &u.Of.Subject, &u.Of.Undone, &detail, &old)
	if errors.Is(err, pgx.ErrNoRows) {
		return said, fmt.Errorf("the audit trail has no such row: %w", farm.ErrNotFound)
	}
	if err != nil {
		return said, err
	}
	switch {
	case !slices.Contains(undoable(), u.Of.Action):
		return said, fmt.Errorf("it is %q of %s: only requeue, priority, skip, unskip and changes of recipes can be taken back", u.Of.Action, u.Of.Subject)
	case u.Of.Undone != 0:
		var at time.Time
		var who string
		if err := tx.QueryRow(ctx, `select at, actor from audit_trail where id = $1`, u.Of.Undone).Scan(&at, &who); err != nil {
			return said, err
		}
		return said, fmt.Errorf("%w: %s took it back at %s (audit %d)", farm.ErrConflict, who, at.Format("2006-01-02 15:04:05"), u.Of.Undone)
	case old:
		return said, errors.New("it is older than 30 days: what the jobs were then is not kept so long")
	}
	return said, said.read(u.Of.Action, detail)
}

// said is what the audit trail keeps of a word beside the jobs.
type said struct {
	saidSkips
	Edits []farm.RecipeEdit
}

func (s *said) read(action string, detail []byte) error {
	if action == ActionRecipe { // its numbers have names that skips have too
		var edits struct{ Edits []farm.RecipeEdit }
		err := json.Unmarshal(detail, &edits)
		s.Edits = edits.Edits
		return err
	}
	return json.Unmarshal(detail, &s.saidSkips)
}

// others counts and names what is not put back.
func (u *Undone) others(ctx context.Context, tx pgx.Tx, audit int64, few int) error {
	const count = `
select coalesce(j.state, ''), count(*) from moved_jobs m left join jobs j on j.id = m.job_id
where m.audit_id = $1 group by 1`
	rows, err := tx.Query(ctx, count, audit)
	if err != nil {
		return err
	}
	var state string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		if state == "" {
			u.Gone = n
		} else {
			u.Moved[state] = n
		}
		return nil
	}); err != nil {
		return err
	}
	const first = `
select j.id ` + selectable + `join moved_jobs m on m.job_id = j.id where m.audit_id = $1
order by p.name collate "C", j.released_at desc, t.rank, j.id limit $2`
	rows, err = tx.Query(ctx, first, audit, few)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	u.First, err = jobsByID(ctx, tx, ids)
	return err
}

func (u *Undone) detail(audit int64) map[string]any {
	detail := map[string]any{"of": audit, "jobs": u.Jobs, "moved": u.Moved, "gone": u.Gone}
	if len(u.Recipes) > 0 {
		detail["edits"] = u.Recipes
	}
	return detail
}

func (u *Undone) close(ctx context.Context, tx pgx.Tx, audit int64, actor string) error {
	var err error
	u.Audit, err = noted(ctx, tx, actor, ActionUndo, fmt.Sprintf("%s %d", u.Of.Action, audit),
		u.detail(audit))
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `update audit_trail set undone_by = $2 where id = $1`, audit, u.Audit); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `delete from moved_jobs where audit_id = $1`, audit); err != nil {
		return err
	}
	// Some may be in the queue again, anywhere.
	_, err = tx.Exec(ctx, `select pg_notify($1, '')`, QueueChannel)
	return err
}
