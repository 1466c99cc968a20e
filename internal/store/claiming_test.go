package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestClaimsTogether: of many that come at once each gets a job of its own, and one
// that cannot be a row (its token is another's) keeps none from the others.
func TestClaimsTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const claims = 40
	for i := range claims {
		w.add(fmt.Sprintf("p%d", i), "1.0")
	}
	var mu sync.Mutex
	given := map[int64]farm.Lease{}
	var all sync.WaitGroup
	for i := range claims {
		all.Go(func() {
			token := fmt.Sprint("token-", i)
			if i == 1 {
				token = "token-0"
			}
			l, ok, err := w.Claim(t.Context(), store.ClaimRequest{
				Slave: w.slaves["a"], Request: fmt.Sprint(i), Token: token, Targets: []int64{w.targetID}, Length: time.Hour, Most: 4,
			})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if other, twice := given[l.Job]; ok && twice {
				t.Errorf("job %d is given twice: %+v, %+v", l.Job, other, l)
			}
			if ok {
				given[l.Job] = l
			}
		})
	}
	all.Wait()
	if len(given) != claims-1 {
		t.Errorf("%d leases, want %d: all but that of the second with a token", len(given), claims-1)
	}
	for job, l := range given {
		if i, err := w.Issued(t.Context(), w.slaves["a"], l.Token); err != nil || i.Job != job || !i.Current {
			t.Errorf("the lease of job %d is not in the ledger: %+v, %v", job, i, err)
		}
	}
}

// TestClaimsOfAStatement: those that share one get the first jobs of the queue, each
// another; a repeat gets what it had, and who may have none gets none.
func TestClaimsOfAStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 10 {
		w.add(fmt.Sprintf("p%d", i), "1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
	}
	w.must(w.EnrollSlave(t.Context(), "c", farm.RoleSlave, "key-c", "test"))
	c, err := w.Slave(t.Context(), "c")
	w.must(err)
	w.slaves["c"] = c.ID
	w.must(w.PauseSlave(t.Context(), "b", "", "test"))
	before, ok := w.claim("a", "before")
	if !ok {
		t.Fatal("the queue is empty")
	}
	tx, commit := w.begin() // claims wait for it, and those that come behind the first wait together
	_, err = tx.Exec(t.Context(), `lock table builds in share mode`)
	w.must(err)
	got := make(chan farm.Lease, 100)
	var all sync.WaitGroup
	ask := func(slave, request string) {
		all.Go(func() {
			l, _, err := w.Claim(t.Context(), store.ClaimRequest{
				Slave: w.slaves[slave], Request: request, Token: slave + "/" + request, Targets: []int64{w.targetID}, Length: time.Minute, Most: 2,
			})
			if err != nil {
				t.Error(err)
			}
			got <- l
		})
	}
	ask("a", "first")
	w.waitForWaiter(tx)
	ask("a", "before")
	for i := range 5 {
		ask("a", fmt.Sprint(i))
		ask("b", fmt.Sprint(i))
		ask("c", fmt.Sprint(i))
	}
	commit()
	all.Wait()
	close(got)
	jobs := map[int64]int{}
	for l := range got {
		jobs[l.Job]++
	}
	if jobs[before.Job] != 1 || jobs[0] != 5 || len(jobs) != 13 {
		t.Errorf("jobs by number, and how often each was given: %v; want %d, five times none, and eleven others", jobs, before.Job)
	}
	const skipped = `
select p.name || ' ' || r.version from jobs q join packages p on p.id = q.package_id join releases r on r.id = q.release_id
where q.state = 'queued' and exists (
    select 1 from jobs l where l.state = 'leased' and (l.priority, l.rank, l.id) > (q.priority, q.rank, q.id))
and (select count(*) from jobs l where l.state = 'leased' and l.package_id = q.package_id) < 2`
	left, err := w.rows(skipped)
	w.must(err)
	if len(left) > 0 {
		t.Errorf("passed over, with room: %v", left)
	}
}
