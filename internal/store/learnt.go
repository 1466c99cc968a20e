package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// jobNames names the jobs j.
const jobNames = `
join targets t on t.id = j.target_id
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
`

// learnt are jobs that need more memory than their recipes say: builds of them ran out
// of it.
type learnt struct {
	jobs   []int64
	memory []int64 // bytes that their recipes say; 0: nothing
}

// learntIn finds them among the jobs of a part of a statement, that names them.
func learntIn(ctx context.Context, tx pgx.Tx, book farm.RecipeBook, from string, args ...any) (found learnt, err error) {
	rows, err := tx.Query(ctx, `select j.id, p.name, r.version, t.name, j.needs_memory `+from+` and j.needs_memory > 0`, args...)
	if err != nil {
		return found, err
	}
	var id, needs int64
	var pkg, version, target string
	_, err = pgx.ForEachRow(rows, []any{&id, &pkg, &version, &target, &needs}, func() error {
		if said := book.For(pkg, version, target).Memory; said < needs {
			found.jobs, found.memory = append(found.jobs, id), append(found.memory, said)
		}
		return nil
	})
	return found, err
}

// forget has them need what their recipes say, and keeps with the word of this number
// what was learnt.
func (l learnt) forget(ctx context.Context, tx pgx.Tx, audit int64) error {
	if len(l.jobs) == 0 {
		return nil
	}
	const q = `
with kept as (
    update moved_jobs m set was = m.was || jsonb_build_object('learnt_memory', j.needs_memory)
    from jobs j where m.audit_id = $1 and j.id = m.job_id and j.id = any($2)
)
update jobs j set needs_memory = x.memory, learnt_memory = null
from unnest($2::bigint[], $3::bigint[]) as x (id, memory) where j.id = x.id`
	_, err := tx.Exec(ctx, q, audit, l.jobs, l.memory)
	return err
}
