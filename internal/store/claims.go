package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pinwheel/internal/farm"
)

// ClaimRequest asks for one job for a slave.
type ClaimRequest struct {
	Slave   int64
	Request string // a repeat gets the same lease
	Token   string // the lease's, random, of the caller
	Targets []int64
	Length  time.Duration
	Most    int // leases that one project may have at once; 0: any number

	Since time.Time // when the slave got a job last, by the caller's clock: of claims made together the earliest comes first
	Woken bool      // with others, by work that may be less than they are: it is worth a moment to be together

	Memory   int64              // of the slave, bytes; 0: unknown
	Packages map[int64][]string // Debian packages that it has, sorted, by target
}

// Claim leases the first queued job of the first target that has one for this
// slave; ok is false when there is none, when the slave is paused or revoked, or
// the target retired. After farm.ErrNoAnswer nobody knows whether it has one: the same
// request, put again, gets it.
func (s *Store) Claim(ctx context.Context, c ClaimRequest) (l farm.Lease, ok bool, err error) {
	// One index scan per target: `target in (…)` would sort the whole queue.
	for _, t := range s.inOrder(c) {
		l, ok, err = s.claimAt(ctx, c, t)
		if errors.Is(err, farm.ErrConflict) {
			break // the request had its lease before: its token is in the ledger
		}
		if ok || err != nil {
			return l, ok, err
		}
	}
	return s.claimedBefore(ctx, c)
}

// inOrder is the targets of a request, that with the most urgent job first, and of equals as
// they were named. It asks nobody: like the heads of the lanes it is a guess, of what was
// claimed last and what was heard of since.
func (s *Store) inOrder(c ClaimRequest) []int64 {
	if len(c.Targets) < 2 {
		return c.Targets
	}
	first := map[int64]int16{}
	for _, t := range c.Targets {
		first[t] = s.heads.foremost(t, c.Slave)
		kinds, _ := s.needs.remembered(s, t)
		for _, k := range fitting(kinds, c, t) {
			first[t] = min(first[t], k.first)
		}
	}
	list := slices.Clone(c.Targets)
	slices.SortStableFunc(list, func(a, b int64) int { return cmp.Compare(first[a], first[b]) })
	return list
}

// claimAt claims on one target. Of what needs something of a slave, only the kinds
// are looked at that are queued and that this slave can do: mostly there are none,
// and then this is one claim as if nothing ever needed anything.
func (s *Store) claimAt(ctx context.Context, c ClaimRequest, target int64) (l farm.Lease, ok bool, err error) {
	kinds, fresh, err := s.needs.on(ctx, s, target)
	if err != nil {
		return l, false, err
	}
	if l, ok, err = s.claimKinds(ctx, c, target, kinds); ok || err != nil || fresh {
		return l, ok, err
	}
	// There is nothing: as with heads, what was not heard of is looked for now.
	if kinds, err = s.needs.look(ctx, s, target); err != nil {
		return l, false, err
	}
	if len(fitting(kinds, c, target)) == 0 {
		return l, false, nil
	}
	return s.claimKinds(ctx, c, target, kinds)
}

// claimKinds claims the first job of all that the slave can do. Policy: the higher
// priority first, and at the same one what needs something, because few slaves can
// do it. Kinds that come after the head of the rest cost nothing until it is there.
func (s *Store) claimKinds(ctx context.Context, c ClaimRequest, target int64, kinds []kind) (l farm.Lease, ok bool, err error) {
	kinds = fitting(kinds, c, target)
	rest := lane{target: target}
	at, bound := len(kinds), everything()
	if head := s.heads.peek(rest); head.known {
		if i := slices.IndexFunc(kinds, func(k kind) bool { return k.first > head.place.priority }); i >= 0 {
			at, bound = i, kind{first: kinds[i].first}
		}
	}
	turns := slices.Insert(kinds, at, bound)
	if at < len(kinds) {
		turns = append(turns, everything())
	}
	for i, k := range turns {
		in := rest
		if k.needs() {
			in.needs = k.key()
		}
		if l, ok, err = s.claimOn(ctx, c, in, k); err != nil || ok {
			if i > 0 {
				s.needs.doubt()
			}
			return l, ok, err
		}
	}
	return l, false, nil
}

// claimOn starts behind the entries that earlier claims left dead. When nothing
// is there, it looks at the whole queue once: something may have been queued
// before that place.
func (s *Store) claimOn(ctx context.Context, c ClaimRequest, in lane, k kind) (farm.Lease, bool, error) {
	from := s.heads.get(in)
	l, ok, err := s.claimMoving(ctx, c, in, k, from)
	if err == nil && !ok && from.known && k.whole() {
		if start, may := s.heads.look(in); may {
			return s.claimMoving(ctx, c, in, k, start)
		}
	}
	return l, ok, err
}

func (s *Store) claimMoving(ctx context.Context, c ClaimRequest, in lane, k kind, from head) (farm.Lease, bool, error) {
	l, at, ok, err := s.claimFrom(ctx, c, in, k, from)
	s.heads.moved(in, from, at, ok && err == nil)
	if err == nil && !k.needs() && k.whole() {
		s.heads.tried(in.target, c.Slave, from, ok)
	}
	return l, ok, err
}

// claimTries bounds how often a claim begins anew because another one took the
// slot that it wanted. Each time somebody has got a lease, so that a project is
// full after a few; those who ask at once may meet at the next project again.
const claimTries = 10

var errSlotTaken = errors.New("another claim took the slot")

// claimFrom is silent when its tries are used up: there is work, but the others
// who ask for it are enough to do it.
func (s *Store) claimFrom(ctx context.Context, c ClaimRequest, in lane, k kind, from head) (l farm.Lease, at claimed, ok bool, err error) {
	for try := range claimTries {
		l, at, ok, err = s.claimOne(ctx, c, in, k, from, try > 0)
		if !errors.Is(err, errSlotTaken) {
			return l, at, ok, err
		}
	}
	return l, at, false, nil
}

const leaseColumns = `b.token, j.id, b.id, p.name, r.version, t.abi, t.platform,
       r.sdist_filename, r.sdist_url, r.sdist_sha256, r.sdist_size, r.released_at, j.time_limit,
       j.needs_memory, (select revision from recipe_book)`

// leaseOf is where the columns of a lease are scanned to.
func leaseOf(l *farm.Lease, r *recipeHint) []any {
	return []any{&l.Token, &l.Job, &l.Build, &l.Package, &l.Version, &l.Target.ABI, &l.Target.Platform,
		&l.Sdist.Filename, &l.Sdist.URL, &l.Sdist.SHA256, &l.Sdist.Size, &l.Release,
		&l.Limits.Timeout, &r.memory, &r.revision}
}

func found(err error) (bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "jobs_slots" {
		return false, errSlotTaken
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return false, fmt.Errorf("claim a job: %w", farm.ErrNoAnswer)
	}
	if err != nil {
		return false, fmt.Errorf("claim a job: %w", translate(err))
	}
	return true, nil
}

// claimedBefore finds the lease that an earlier copy of the same request was given.
func (s *Store) claimedBefore(ctx context.Context, c ClaimRequest) (farm.Lease, bool, error) {
	const q = `
select ` + leaseColumns + `
from builds b
join jobs j on j.id = b.job_id and j.lease_token = b.token
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id
where b.slave_id = $1 and b.request = $2`
	l := farm.Lease{Length: c.Length}
	var hint recipeHint
	ok, err := found(s.brief.QueryRow(ctx, q, c.Slave, c.Request).Scan(leaseOf(&l, &hint)...))
	if ok {
		err = s.addRecipe(ctx, &l, hint)
	}
	return l, ok, err
}

// claimed is where a claim found its job, and what it saw on the way.
type claimed struct {
	place queuePlace
	back  bool       // it began at the start, for the sake of what its head passed over
	full  []int64    // projects without room: their jobs were passed over
	last  queuePlace // of all that were claimed with it; zero: it was alone
}

// claim is one statement, so that a claim is one turn to the server.
//
// A project is full when all its slots are taken, and then the last one is: so
// one look at the index finds all that are full, of which there are at most as
// many as leases by slots. Which slot is free is only a guess, made before others
// commit theirs; the index of slots refuses a wrong one (errSlotTaken).
//
// The slave's row is locked as the foreign keys lock it anyway: who pauses or
// revokes the slave waits for the claims under way, and those behind him see what
// he did. Not before a job is found: a lock is a write.
//
// The head of what needs something of a slave is no further than the head of the
// rest, by priority; which one that is may change meanwhile, and costs order then.
const (
	claim      = claimHead + claimRest + claimTail
	claimNeedy = claimHead + claimKind + claimTail

	claimRest = needless + ` and priority < $12`
	claimKind = needy + `
    and coalesce(needs_packages, '{}') = $13 and needs_memory = $12
    and priority <= coalesce((
        select n.priority from jobs n
        where n.target_id = $1 and n.state = 'queued' and n.not_before <= now()
        and n.needs_memory = 0 and n.needs_packages is null
        and (n.priority, n.rank, n.id) >= ($14::smallint, $15::bigint, $16::bigint)
        and n.package_id not in (select package_id from stuffed)
        order by n.priority, n.rank, n.id limit 1), 32767)`

	claimHead = `
with stuffed as materialized (
    select l.package_id from jobs l
    where l.lease_slot > 0 and l.lease_slot = cardinality($9::smallint[])
    and cardinality($9::smallint[]) = (
        select count(*) from jobs o
        where o.lease_slot > 0 and o.lease_slot = any($9) and o.package_id = l.package_id)
), start as materialized (
    -- What was passed over for want of room stands before the head: it comes first when there is room.
    select exists (select 1 from unnest($10::bigint[]) p where p not in (select package_id from stuffed)) as back
), asks as materialized (
    -- Before a job is locked, which others pass over.
    select 1 where exists (select 1 from slaves where id = $3 and not paused and revoked_at is null)
    -- It was active when the slave asked, and the question may have waited since.
    and exists (select 1 from targets where id = $1 and active)
    -- A repeat had its lease before (claimedBefore), and must not undo the claims beside it.
    and not exists (select 1 from builds where slave_id = $3 and request = $5)
), picked as (
    select id, package_id, priority, rank from jobs
    where exists (select 1 from asks)
    and target_id = $1 and state = 'queued' and not_before <= now()
    and (priority, rank, id) >= (
        case when (select back from start) then (-32768)::smallint else $6::smallint end,
        case when (select back from start) then (-9223372036854775808)::bigint else $7::bigint end,
        case when (select back from start) then (-9223372036854775808)::bigint else $8::bigint end)
    and package_id not in (select package_id from stuffed)
    -- Who failed it by a fault of its own leaves it to others for a while.
    and (avoids_slave_id is null or avoids_slave_id <> $3 or not_before <= now() - interval '10 minutes')
    and `

	claimTail = `
    order by priority, rank, id -- policy: design 4, newest release first
    limit 1 for update skip locked
), me as (
    select id from slaves where id = $3 and not paused and revoked_at is null
    and exists (select 1 from picked) for key share
), j as (
    update jobs set state = 'leased', lease_token = $2, lease_slave_id = me.id,
        lease_deadline = now() + $4::interval, changed_at = now(),
        lease_slot = case when picked.package_id = 0 or cardinality($9::smallint[]) = 0 then 0 else (
            select s from unnest($9) s
            where s not in (
                select o.lease_slot from jobs o
                where o.lease_slot > 0 and o.lease_slot = any($9) and o.package_id = picked.package_id)
            -- The lowest; after a collision any, so that those who collided part.
            order by case when $11 then random() else s end limit 1) end
    from picked cross join me where jobs.id = picked.id
    returning jobs.id, jobs.release_id, jobs.target_id, jobs.time_limit, jobs.needs_memory, picked.priority, picked.rank
), b as (
    insert into builds (job_id, slave_id, token, request)
    select id, $3, $2, $5 from j
    returning id, token
)
select ` + leaseColumns + `, j.priority, j.rank, start.back, array(select package_id from stuffed)
from j cross join b cross join start
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id`
)

func (s *Store) claimOne(ctx context.Context, c ClaimRequest, in lane, k kind, from head, collided bool) (farm.Lease, claimed, bool, error) {
	one := s.newClaiming(c, in, k, from, collided)
	ok, err := found(s.claimRow(ctx, one))
	if ok {
		err = s.addRecipe(ctx, &one.lease, one.hint)
	}
	return one.lease, one.at, ok, err
}

func (s *Store) newClaiming(c ClaimRequest, in lane, k kind, from head, collided bool) *claiming {
	slots := make([]int16, c.Most)
	for i := range slots {
		slots[i] = int16(i + 1)
	}
	one := &claiming{q: claim, req: c, lease: farm.Lease{Length: c.Length}, args: []any{in.target, c.Token, c.Slave, c.Length, c.Request,
		from.place.priority, from.place.rank, from.place.id, slots, from.passed, collided}}
	if k.needs() {
		rest := s.heads.peek(lane{target: in.target}).place
		one.q, one.args = claimNeedy, append(one.args, k.memory, k.packages, rest.priority, rest.rank, rest.id)
	} else {
		one.args = append(one.args, k.first)
	}
	if !k.needs() && !from.looks && !collided {
		one.kin = &kin{target: in.target, length: c.Length, most: c.Most, first: k.first}
		one.from, one.slots = from, slots
	}
	return one
}
