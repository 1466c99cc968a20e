package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Contradictions lists what the rows say against one another, a line each; an
// empty list means that the database agrees with itself. It changes nothing.
func (s *Store) Contradictions(ctx context.Context) ([]string, error) {
	const q = `
select 'wheel ' || w.filename || ' has other bytes than its published name'
from wheels w join published_names n using (filename) where (w.sha256, w.size) <> (n.sha256, n.size)
union all
select 'job ' || j.id || ' is built, with ' || count(b.id) || ' good builds'
from jobs j left join builds b on b.job_id = j.id and b.outcome = 'built'
where j.state = 'built' group by j.id having count(b.id) <> 1
union all
select 'job ' || j.id || ' is built, with ' || count(w.id) || ' wheels'
from jobs j left join builds b on b.job_id = j.id left join wheels w on w.build_id = b.id
where j.state = 'built' group by j.id having count(w.id) <> 1
union all
select 'job ' || j.id || ' is ' || j.state || ', but build ' || b.id || ' brought a wheel'
from jobs j join builds b on b.job_id = j.id join wheels w on w.build_id = b.id where j.state <> 'built'
union all
select 'job ' || j.id || ' is leased under a token that was not issued'
from jobs j where j.state = 'leased' and not exists (
    select 1 from builds b where b.token = j.lease_token and b.slave_id = j.lease_slave_id and b.job_id = j.id and b.outcome is null)
union all
select 'build ' || b.id || ' has not ended, and its lease is not current'
from builds b join jobs j on j.id = b.job_id where b.outcome is null and j.lease_token is distinct from b.token`
	rows, err := s.pool.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("look for contradictions: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for contradictions: %w", translate(err))
	}
	return out, nil
}
