package store

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// kin is what claims have in common that may share a statement: they take the first
// jobs of one lane, which any of them may have.
type kin struct {
	target int64
	length time.Duration
	most   int
	first  int16 // the bound of their priorities, see claimKinds
}

// families parts claims into those that share a statement, each family in the order of
// its coming. Who has no kin is a family by itself.
func families(list []*claiming) (all [][]*claiming) {
	at := map[kin]int{}
	for _, c := range list {
		if c.kin == nil {
			all = append(all, []*claiming{c})
			continue
		}
		i, ok := at[*c.kin]
		if !ok {
			i, all = len(all), append(all, nil)
			at[*c.kin] = i
		}
		all[i] = append(all[i], c)
	}
	return all
}

// claimFor is claim for several slaves: it takes as many jobs from the head of the
// lane as there are slaves that may have one, and gives them out. Most of what a claim
// costs is paid once. No job is locked that is not given, but those of a project that has
// no room for them: another master would pass it over, and at the end of the queue tell
// its slave that there is none.
//
// Of one project each gets another slot; jobs of a project that has no room for all of
// them stay where they are, and the project counts as passed over. Who failed a job by a
// fault of its own is given another of them: those jobs, and those slaves last, meet only
// if there is no other way, and then the slave claims by itself.
//
// The inner limit stands in the text: from a parameter the planner would guess a tenth of
// the queue, and read the whole table for it. It is one of a few, so that few statements
// are planned; the outer one ends the scan, and with it the locking, at the right place.
func claimFor(n int) string {
	limit := claimsTogether
	for _, size := range []int{2, 4, 8, 16} {
		if n <= size {
			limit = size
			break
		}
	}
	return fmt.Sprintf(claimGroup, limit)
}

const claimGroup = `
with stuffed as materialized (
    select l.package_id from jobs l
    where l.lease_slot > 0 and l.lease_slot = cardinality($9::smallint[])
    and cardinality($9::smallint[]) = (
        select count(*) from jobs o
        where o.lease_slot > 0 and o.lease_slot = any($9) and o.package_id = l.package_id)
), start as materialized (
    select exists (select 1 from unnest($10::bigint[]) p where p not in (select package_id from stuffed)) as back
), asks as materialized (
    -- As in a claim for one.
    select a.token, a.slave, a.request, a.n
    from unnest($2::text[], $3::bigint[], $5::text[]) with ordinality as a (token, slave, request, n)
    where exists (select 1 from slaves s where s.id = a.slave and not s.paused and s.revoked_at is null)
    and exists (select 1 from targets where id = $1 and active)
    and not exists (select 1 from builds where slave_id = a.slave and request = a.request)
), picked as materialized (
    select * from (
        select id, package_id, priority, rank,
            case when not_before > now() - interval '10 minutes' then avoids_slave_id end as avoids
        from jobs
        where target_id = $1 and state = 'queued' and not_before <= now()
        and (priority, rank, id) >= (
            case when (select back from start) then (-32768)::smallint else $6::smallint end,
            case when (select back from start) then (-9223372036854775808)::bigint else $7::bigint end,
            case when (select back from start) then (-9223372036854775808)::bigint else $8::bigint end)
        and package_id not in (select package_id from stuffed)
        and (avoids_slave_id is null or avoids_slave_id <> any(array(select slave from asks)) or not_before <= now() - interval '10 minutes')
        and ` + needless + ` and priority < $11
        order by priority, rank, id -- policy: design 4, newest release first
        limit %d for update skip locked) q
    limit (select count(*) from asks)
), room as materialized (
    select n.*, case when n.package_id = 0 or cardinality($9::smallint[]) = 0 then 0 else (
        select s from unnest($9::smallint[]) s
        where s not in (
            select o.lease_slot from jobs o
            where o.lease_slot > 0 and o.lease_slot = any($9) and o.package_id = n.package_id)
        order by s offset n.nth - 1 limit 1) end as slot
    from (select *, row_number() over (partition by package_id order by priority, rank, id) as nth from picked) n
), given as materialized (
    select *, row_number() over (order by avoids, priority, rank, id) as n from room where slot is not null
), me as materialized (
    select id from slaves where id = any(array(select slave from asks)) and not paused and revoked_at is null
    and exists (select 1 from picked)
    for key share
), takes as materialized (
    select a.token, a.slave, a.request, row_number() over (order by
        case when a.slave in (select avoids from given where avoids is not null) then a.slave end desc nulls first, a.n) as n
    from asks a join me on me.id = a.slave
), j as (
    update jobs set state = 'leased', lease_token = takes.token, lease_slave_id = takes.slave,
        lease_deadline = now() + $4::interval, changed_at = now(), lease_slot = given.slot
    from given join takes using (n) where jobs.id = given.id and given.avoids is distinct from takes.slave
    returning jobs.id, jobs.release_id, jobs.target_id, jobs.time_limit, jobs.needs_memory,
        given.priority, given.rank, takes.token, takes.slave, takes.request
), b as (
    insert into builds (job_id, slave_id, token, request)
    select id, slave, token, request from j
    returning id, token
)
select ` + leaseColumns + `, j.priority, j.rank, start.back,
    array(select package_id from stuffed union select package_id from room where slot is null),
    array(select token from asks) as asked,
    (select count(*) from picked) = (select count(*) from asks)
        or exists (select 1 from given join takes using (n) where given.avoids = takes.slave) as more
from j join b using (token) cross join start
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id`

// groupArgs are those of a family. It starts from the foremost of their heads, which
// none of them is wrong with.
func groupArgs(group []*claiming) []any {
	lead := group[0]
	for _, c := range group {
		if c.from.place.before(lead.from.place) {
			lead = c
		}
	}
	return []any{lead.kin.target,
		pluck(group, func(c *claiming) string { return c.req.Token }), pluck(group, func(c *claiming) int64 { return c.req.Slave }),
		lead.kin.length, pluck(group, func(c *claiming) string { return c.req.Request }),
		lead.from.place.priority, lead.from.place.rank, lead.from.place.id, lead.slots, lead.from.passed, lead.kin.first}
}

// handOut gives the rows to those whose tokens they bear. The others get nothing; those
// that may have a job, if there may be more, are left to claim by themselves.
func handOut(rows pgx.Rows, group []*claiming) (left []*claiming, err error) {
	defer rows.Close()
	byToken := map[string]*claiming{}
	for _, c := range group {
		byToken[c.req.Token], c.err = c, pgx.ErrNoRows
	}
	var served []*claiming
	var last queuePlace
	var asked []string
	more := false
	for rows.Next() {
		var got claiming
		if err := rows.Scan(append(got.dest(), &asked, &more)...); err != nil {
			return nil, err
		}
		c := byToken[got.lease.Token]
		got.lease.Length = c.lease.Length
		c.lease, c.hint, c.at, c.err = got.lease, got.hint, got.at, nil
		served = append(served, c)
		place := queuePlace{got.at.place.priority, got.at.place.rank, got.lease.Job}
		if last == (queuePlace{}) || last.before(place) {
			last = place
		}
	}
	for _, c := range served {
		c.at.last = last
	}
	for _, token := range asked {
		if c := byToken[token]; more && c.err != nil {
			left = append(left, c)
		}
	}
	return left, rows.Err()
}
