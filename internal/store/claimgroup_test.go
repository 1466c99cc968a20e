package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// enroll enrolls slaves.
func (w *world) enroll(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.must(w.EnrollSlave(w.t.Context(), name, farm.RoleSlave, "key-"+name, "test"))
		row, err := w.Slave(w.t.Context(), name)
		w.must(err)
		w.slaves[name] = row.ID
	}
}

// asks are claims of slaves, one word each: "a", or "a/request".
func (w *world) asks(words string) (reqs []store.ClaimRequest) {
	w.t.Helper()
	for i, word := range strings.Fields(words) {
		slave, request, _ := strings.Cut(word, "/")
		reqs = append(reqs, store.ClaimRequest{
			Slave: w.slaves[slave], Request: cmp.Or(request, fmt.Sprint(i)), Token: fmt.Sprint(word, " ", i), Targets: []int64{w.targetID}, Length: time.Minute,
		})
	}
	return reqs
}

// got are the packages of leases; "-" is none.
func got(leases []farm.Lease) string {
	var names []string
	for _, l := range leases {
		names = append(names, cmp.Or(l.Package, "-"))
	}
	return strings.Join(names, " ")
}

// TestClaimsLockWhatTheyGive: claims under way, of whatever size and whoever is among them,
// leave to another master all that they do not give. To pass over the last job of the queue
// is to tell a slave that there is none.
func TestClaimsLockWhatTheyGive(t *testing.T) {
	t.Parallel()
	for asks, given := range map[string]int{
		"a":                            1,
		"a a a":                        3, // a statement for three looks at four
		"a a a b a":                    5,
		"a paused":                     1,
		"paused":                       0,
		"a/before":                     0,
		"a/before a b paused paused a": 3,
		strings.Repeat("a ", 9):        9,
		strings.Repeat("a ", 17):       17,
	} {
		t.Run(asks, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.enroll("paused")
			w.must(w.PauseSlave(t.Context(), "paused", "", "test"))
			w.add("before", "1.0")
			if _, ok := w.claim("a", "before"); !ok {
				t.Fatal("the queue is empty")
			}
			for i := range given + 1 {
				w.add(fmt.Sprintf("p%d", i), "1.0")
			}
			tx, commit := w.begin()
			leases, errs := w.ClaimTogetherIn(t.Context(), tx, w.asks(asks)...)
			w.must(errors.Join(errs...))
			n := len(leases) - strings.Count(got(leases), "-")
			if n != given {
				t.Errorf("%s got %s, want %d jobs", asks, got(leases), given)
			}
			l, ok, err := w.another().Claim(t.Context(), w.asks("b/meanwhile")[0])
			w.must(err)
			if !ok || slices.ContainsFunc(leases, func(o farm.Lease) bool { return o.Job == l.Job }) {
				t.Errorf("meanwhile another master gave %v %+v", ok, l)
			}
			commit()
		})
	}
}

// TestAvoidedTogether: who spoiled a job and others ask in one statement. Each gets
// something, and nobody what it spoiled.
func TestAvoidedTogether(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ avoid, asks, want string }{
		"the others take it":                        {"a", "a b", "- p0"},
		"whoever asks first":                        {"a", "b a", "p0 -"},
		"and the one something else":                {"a .", "a b", "p1 p0"},
		"of each the other's":                       {"a b", "a b", "p1 p0"},
		"of three another's":                        {"a b c", "a b c", "p2 - p0"}, // one of the ways
		"there is only its own":                     {"a a", "a", "-"},
		"and for all that ask":                      {"a a", "a a a", "- - -"},
		"two of them, and one who may":              {"a a", "a b", "- p0"},
		"what is behind":                            {"a a b", "a b", "p2 p0"},
		"twice the same slave, and one beside it":   {"a a b", "a a b", "- p2 p0"},
		"what was spoiled long ago is nobody's":     {"a*", "a", "p0"},
		"what was spoiled long ago, beside another": {"a* a", "a b", "p0 p1"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.enroll("c")
			for i, avoid := range strings.Fields(c.avoid) {
				name := fmt.Sprintf("p%d", i)
				w.add(name, "1.0")
				rank, id := int64(i), w.state(name, "1.0").ID
				slave, long := strings.CutSuffix(avoid, "*")
				w.must(w.exec(`update jobs set rank = $2, avoids_slave_id = nullif($3, 0), not_before = now() - $4::interval where id = $1`,
					id, rank, w.slaves[slave], map[bool]string{true: "11 minutes", false: "0"}[long]))
			}
			leases, errs := w.ClaimTogether(t.Context(), w.asks(c.asks)...)
			w.must(errors.Join(errs...))
			names, want := strings.Fields(got(leases)), strings.Fields(c.want)
			for i := range want {
				if !slices.Contains(strings.Split(want[i], "|"), names[i]) {
					t.Fatalf("%s got %v, want %v", c.asks, names, want)
				}
			}
			slices.Sort(names)
			if given := slices.DeleteFunc(names, func(s string) bool { return s == "-" }); len(slices.Compact(given)) != len(given) {
				t.Errorf("given twice: %v", given)
			}
		})
	}
}

// TestSlowClaimsAreNotAskedAgain: a database that does not answer several claims in time,
// or loses them, does no better for each. All hear of it at once; who is to blame himself
// is left alone.
func TestSlowClaimsAreNotAskedAgain(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(w *world, waiter func() int) (ended func()){
		"in time": func(w *world, _ func() int) func() { w.SetClaimWithin(300 * time.Millisecond); return func() {} },
		"at all": func(w *world, waiter func() int) func() {
			w.SetClaimWithin(time.Minute)
			return func() { w.must(w.exec(`select pg_terminate_backend($1)`, waiter())) }
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i := range 5 {
				w.add(fmt.Sprintf("p%d", i), "1.0")
			}
			tx, commit := w.begin()
			_, err := tx.Exec(t.Context(), `select from slaves where name = 'b' for update`)
			w.must(err)
			end := spoil(w, func() (pid int) {
				w.waitForWaiter(tx)
				w.must(tx.QueryRow(t.Context(), `
select pid from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()`).Scan(&pid))
				return pid
			})
			type answer struct {
				leases []farm.Lease
				errs   []error
			}
			answers := make(chan answer, 1)
			go func() {
				leases, errs := w.ClaimTogether(t.Context(), w.asks("a b a a")...)
				answers <- answer{leases, errs}
			}()
			end()
			// From here on each by itself would get one, but for b.
			a := <-answers
			if got(a.leases) != "- - - -" || slices.Contains(a.errs, nil) {
				t.Errorf("%s, %v", got(a.leases), a.errs)
			}
			commit()
			w.SetClaimWithin(time.Minute)
			// Whether the server has done it all the same nobody knows: who asks again, does.
			w.waitForIdle()
			jobs := map[int64]bool{}
			for _, c := range w.asks("a b a a") {
				l, ok, err := w.Claim(t.Context(), c)
				if w.must(err); !ok || jobs[l.Job] {
					t.Errorf("afterwards: %v, %+v", ok, l)
				}
				jobs[l.Job] = true
			}
		})
	}
}

// TestAClaimThatHangs: it is given up by itself, whoever asked may go on waiting, and those
// behind it are served while it would hang still.
func TestAClaimThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.SetClaimWithin(300 * time.Millisecond)
	w.add("demo", "1.0")
	w.add("other", "1.0")
	tx, commit := w.begin()
	_, err := tx.Exec(t.Context(), `select from slaves where name = 'b' for update`)
	w.must(err)
	hangs := make(chan error, 1)
	go func() {
		_, _, err := w.Claim(t.Context(), w.asks("b/hangs")[0])
		hangs <- err
	}()
	w.waitForWaiter(tx)
	if _, ok, err := w.Claim(t.Context(), w.asks("a")[0]); !ok || err != nil {
		t.Errorf("behind it another slave gets %v, %v", ok, err)
	}
	if err := <-hangs; !errors.Is(err, farm.ErrNoAnswer) {
		t.Errorf("the one that hangs: %v, want %v", err, farm.ErrNoAnswer)
	}
	commit()
	w.SetClaimWithin(time.Minute)
	w.waitForIdle()
	if _, ok, err := w.Claim(t.Context(), w.asks("b/hangs")[0]); !ok || err != nil {
		t.Errorf("asked again: %v, %v", ok, err)
	}
}

// waitForIdle returns when no statement is under way on this database.
func (w *world) waitForIdle() {
	w.t.Helper()
	tx, end := w.begin()
	defer end()
	const q = `
select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'active')`
	for active := true; active; {
		_, err := tx.Exec(w.t.Context(), `select pg_stat_clear_snapshot()`) // what it saw once it keeps
		w.must(err)
		w.must(tx.QueryRow(w.t.Context(), q).Scan(&active))
	}
}
