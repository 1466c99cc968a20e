package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// What parts the two indexes of the queue: each index is used only by a statement
// that says so in these words.
const (
	needless = `needs_memory = 0 and needs_packages is null`
	needy    = `(needs_memory > 0 or needs_packages is not null)`
)

// kind is what some jobs need of a slave. There are few kinds, however many jobs:
// memory is learnt in large steps, and packages are a recipe's.
type kind struct {
	packages []string // Debian packages, not nil
	memory   int64    // bytes
	first    int16    // the priority of the first of them, when they were looked at
}

// everything is what needs nothing, of every priority; with another first, of higher
// ones only.
func everything() kind { return kind{first: math.MaxInt16} }

// whole says that all priorities are meant, of whatever it is.
func (k kind) whole() bool { return k.needs() || k.first == math.MaxInt16 }

func (k kind) needs() bool { return k.memory > 0 || len(k.packages) > 0 }

func (k kind) key() string { return fmt.Sprint(k.memory, " ", strings.Join(k.packages, " ")) }

// fits says whether a slave can do jobs of this kind on a target.
func (k kind) fits(c ClaimRequest, target int64) bool {
	return k.memory <= c.Memory && !slices.ContainsFunc(k.packages, func(p string) bool {
		_, has := slices.BinarySearch(c.Packages[target], p)
		return !has
	})
}

// fitting are the kinds that the slave can do on a target: the highest priority first, and of
// those what needs most, which the fewest can do.
func fitting(kinds []kind, c ClaimRequest, target int64) []kind {
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return !k.fits(c, target) })
	slices.SortStableFunc(kinds, func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.memory, a.memory), cmp.Compare(len(b.packages), len(a.packages)))
	})
	return kinds
}

// needs remembers which kinds of jobs that need something are queued, by target, so
// that a claim pays nothing for what there is not. Like a head it is a guess: what
// is queued is heard of, what was not heard of is found after headLife, or when a
// slave finds nothing else.
type needs struct {
	looking chan struct{} // held by who looks: those who come meanwhile take what he finds
	mu      sync.Mutex
	kinds   map[int64][]kind
	until   time.Time
	clock   int64 // of heads, when it was looked
}

func newNeeds() *needs { return &needs{looking: make(chan struct{}, 1)} }

// on gives the kinds queued on a target; fresh says that they were looked at just now.
func (n *needs) on(ctx context.Context, s *Store, target int64) (kinds []kind, fresh bool, err error) {
	if kinds, ok := n.remembered(s, target); ok {
		return kinds, false, nil
	}
	kinds, err = n.look(ctx, s, target)
	return kinds, true, err
}

func (n *needs) remembered(s *Store, target int64) ([]kind, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kinds[target], n.kinds != nil && time.Now().Before(n.until) && n.clock >= s.heads.needyAt()
}

// look reads the kinds of all targets. It walks from kind to kind, not over jobs.
func (n *needs) look(ctx context.Context, s *Store, target int64) ([]kind, error) {
	began := s.heads.now()
	select {
	case n.looking <- struct{}{}:
		defer func() { <-n.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	if kinds := n.kinds; kinds != nil && n.clock > began { // another one looked after we came
		n.mu.Unlock()
		return kinds[target], nil
	}
	n.mu.Unlock()
	clock := s.heads.tick()
	kinds, err := s.queuedKinds(ctx)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kinds, n.until, n.clock = kinds, time.Now().Add(headLife), clock
	return kinds[target], nil
}

// doubt has the next claim look again: a kind was not what it was thought to be. If
// that was seen a moment ago, it is not the guess that is wrong.
func (n *needs) doubt() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if soon := time.Now().Add(headLife - doubtAfter); n.until.Before(soon) {
		n.until = time.Time{}
	}
}

const doubtAfter = time.Second

// walkKinds are the kinds of queued jobs that need something, of all targets.
const walkKinds = `
with recursive kinds as (
    (select target_id, coalesce(needs_packages, '{}') as packages, needs_memory as memory from jobs
    where state = 'queued' and ` + needy + `
    order by target_id, coalesce(needs_packages, '{}'), needs_memory limit 1)
    union all
    select n.* from kinds k cross join lateral (
        select target_id, coalesce(needs_packages, '{}'), needs_memory from jobs
        where state = 'queued' and ` + needy + `
        and (target_id, coalesce(needs_packages, '{}'), needs_memory) > (k.target_id, k.packages, k.memory)
        order by target_id, coalesce(needs_packages, '{}'), needs_memory limit 1) n
)`

const queuedKinds = walkKinds + `
select k.target_id, k.packages, k.memory, f.priority from kinds k cross join lateral (
    select priority from jobs
    where target_id = k.target_id and state = 'queued' and not_before <= now() and ` + needy + `
    and coalesce(needs_packages, '{}') = k.packages and needs_memory = k.memory
    order by priority, rank, id limit 1) f -- as a claim takes them`

func (s *Store) queuedKinds(ctx context.Context) (map[int64][]kind, error) {
	rows, err := s.pool.Query(ctx, queuedKinds)
	if err != nil {
		return nil, fmt.Errorf("look what queued jobs need: %w", translate(err))
	}
	kinds := map[int64][]kind{}
	var target int64
	var k kind
	_, err = pgx.ForEachRow(rows, []any{&target, &k.packages, &k.memory, &k.first}, func() error {
		kinds[target] = append(kinds[target], kind{append([]string{}, k.packages...), k.memory, k.first})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look what queued jobs need: %w", translate(err))
	}
	return kinds, nil
}
