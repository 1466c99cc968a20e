package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ofCopies is what copies for armv6l may contradict.
const ofCopies = `
union all
select 'wheel ' || c.filename || ' is a copy of ' || w.filename || ', which is of another build or release'
from wheels c join wheels w on w.id = c.copy_of where (c.build_id, c.release_id) <> (w.build_id, w.release_id)
union all
select 'wheel ' || w.filename || ' has a copy, and a reason for none: ' || w.no_armv6l
from wheels c join wheels w on w.id = c.copy_of where w.no_armv6l <> ''`

// Contradictions lists what the rows say against one another, a line each; an
// empty list means that the database agrees with itself. It changes nothing.
func (s *Store) Contradictions(ctx context.Context) ([]string, error) {
	const q = `
select 'wheel ' || w.filename || ' has other bytes than its published name'
from wheels w join published_names n using (filename) where (w.sha256, w.size) <> (n.sha256, n.size)
union all
select 'wheel ' || filename || ' is withdrawn, and its release has it' from wheels join withdrawn using (filename)
union all
select 'wheel ' || filename || ' is withdrawn, and nobody writes the page of ' || package || ' without it; publish --all does'
from withdrawn where package not in (select scope from stale_pages)
union all
select 'job ' || j.id || ' is built, with ' || count(b.id) || ' good builds'
from jobs j left join builds b on b.job_id = j.id and b.outcome = 'built'
where j.state = 'built' group by j.id having count(b.id) <> 1
union all
select 'job ' || j.id || ' is built, with ' || count(w.id) || ' wheels'
from jobs j left join builds b on b.job_id = j.id left join wheels w on w.build_id = b.id and w.copy_of is null
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
from builds b join jobs j on j.id = b.job_id where b.outcome is null and j.lease_token is distinct from b.token
union all
select 'job ' || j.id || ' is counted for package ' || j.package_id || ', and its release is of package ' || r.package_id
from jobs j join releases r on r.id = j.release_id
where j.package_id not in (r.package_id, 0) -- 0: made by a program of before there was the column
union all
select 'job ' || j.id || ' is of a release that there is not'
from jobs j where not exists (select 1 from releases r where r.id = j.release_id)
union all
select 'job ' || j.id || ' is for a target that there is not'
from jobs j where j.target_id not in (select id from targets)
union all
select 'job ' || j.id || ' is ' || j.state || ', and waits for another target'
from jobs j where j.state <> 'waiting' and j.waits_target_id is not null
union all
select 'job ' || j.id || ' waits for a target whose job has ended or is not there'
from jobs j where j.waits_target_id is not null and not exists (
    select 1 from jobs o where o.release_id = j.release_id and o.target_id = j.waits_target_id and o.state in ('waiting', 'queued', 'leased'))
and j.target_id not in (select id from targets where not active) -- of a retired one, jobs stay as they are until it comes back
union all
select 'job ' || j.id || ' waits for a build requirement, and nobody knows which' from jobs j where j.state = 'waiting' and (j.why = 'requirement') <> (j.waits_package <> '')
union all
select 'release ' || r.id || ' is of a package that there is not'
from releases r where not exists (select 1 from packages p where p.id = r.package_id)` + ofCopies
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
