package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// loses are the two ways in which a slave loses the one lease that it has.
func loses() map[string]func(w *world) {
	return map[string]func(w *world){
		"expired": func(w *world) {
			w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`))
			_, err := w.Sweep(w.t.Context(), time.Minute)
			w.must(err)
		},
		"not held": func(w *world) { w.beat("a", "", 0) },
	}
}

// TestLostGoesElsewhere: who lost a job leaves it to another who serves its target, and is
// not given it at once three times until it has failed.
func TestLostGoesElsewhere(t *testing.T) {
	t.Parallel()
	for name, lose := range loses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("demo", "1.0")
			w.claim("a", "1")
			w.hello("b", gb)
			lose(w)
			if got, want := w.tries("demo"), "queued priority 40 faults 0 timeouts 0 memory_outs 0 avoids a"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if l, ok := w.claim("a", "2"); ok {
				t.Errorf("the slave that lost the job was given it again: %+v", l)
			}
			if _, ok := w.claim("b", "3"); !ok {
				t.Error("another slave was not given the job")
			}
		})
	}
}

// TestLossWithoutOthersDoesNotCount: when no other slave was heard it was the
// farm or the network that was away. But a build that ends the farm's one slave
// each time must let the others pass.
func TestLossWithoutOthersDoesNotCount(t *testing.T) {
	t.Parallel()
	for name, lose := range loses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.beat("b", "", 0)
			w.must(w.exec(`update slaves set last_seen = last_seen - interval '1 hour'`)) // heard, but before the lease
			w.add("demo", "1.0")
			for i, least := range []time.Duration{0, 20 * time.Second, 80 * time.Second, 260 * time.Second} {
				if _, ok := w.claim("a", fmt.Sprint(i)); !ok {
					t.Fatalf("round %d: no job", i)
				}
				_, before := w.waits()
				lose(w)
				until, after := w.waits()
				if least > 0 && until.Before(before.Add(least)) || until.After(after.Add(least)) {
					t.Errorf("after %d losses it waits until %v, want %v from a moment between %v and %v on", i+1, until, least, before, after)
				}
				w.must(w.exec(`update jobs set not_before = now()`))
			}
			if got := w.state("demo", "1.0").State; got != farm.Queued {
				t.Errorf("state %s", got)
			}
		})
	}
}

// TestLossCountsWhileOthersAreHeard: then it is the job that ends its slaves.
func TestLossCountsWhileOthersAreHeard(t *testing.T) {
	t.Parallel()
	for name, lose := range loses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("demo", "1.0")
			for i := range store.MaxLosses {
				if got := w.state("demo", "1.0").State; got != farm.Queued {
					t.Fatalf("after %d losses: %s", i, got)
				}
				if _, ok := w.claim("a", fmt.Sprint(i)); !ok {
					t.Fatalf("round %d: no job, or not at once", i)
				}
				w.beat("b", "", 0)
				lose(w)
			}
			if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Cause != string(farm.SlaveLost) {
				t.Errorf("%s %s", j.State, j.Cause)
			}
		})
	}
}

// waits is until when the one job must wait, and what time it is.
func (w *world) waits() (until, now time.Time) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(w.t.Context())
	w.must(conn.QueryRow(w.t.Context(), `select coalesce(not_before, now()), now() from jobs`).Scan(&until, &now))
	return until, now
}

func TestHeardSparesHeldAndYoung(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	held, _ := w.claim("a", "r1")
	other, _ := w.claim("a", "r2")
	w.beat("a", "", time.Hour, held.Token)
	if got := w.state("demo", other.Version).State; got != farm.Leased {
		t.Errorf("a young lease that is not held: the job is %s", got)
	}
	w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`))
	if gone := w.beat("a", "", 0, held.Token, "guess"); cmp.Diff([]string{"guess"}, gone) != "" {
		t.Errorf("gone: %v", gone)
	}
	if a, b := w.state("demo", held.Version).State, w.state("demo", other.Version).State; a != farm.Leased || b != farm.Queued {
		t.Errorf("the lease that is held: %s; the other: %s", a, b)
	}
	if n, err := w.Sweep(t.Context(), time.Minute); n != 0 || err != nil {
		t.Errorf("%d leases expired, %v: the one that is held was not renewed", n, err)
	}
}

// TestHeardSparesWhatIsAskedAgain: a lease whose answer was lost is no loss, and
// the repeat of its request finds it.
func TestHeardSparesWhatIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	lease, _ := w.claim("a", "r1")
	w.beat("a", "r1", 0)
	if again, ok := w.claim("a", "r1"); !ok || again.Token != lease.Token {
		t.Errorf("the repeat got %v %q, want %q", ok, again.Token, lease.Token)
	}
	w.beat("a", "r2", 0)
	if got := w.state("demo", "1.0").State; got != farm.Queued {
		t.Errorf("the lease of another request: the job is %s", got)
	}
}

// TestHeardIsOneTransaction: what cannot be freed leaves nothing renewed.
func TestHeardIsOneTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	held, _ := w.claim("a", "r1")
	w.claim("a", "r2")
	w.must(w.exec(`alter table builds add constraint nothing_is_lost check (outcome <> 'lost')`))
	_, err := w.Heard(t.Context(), store.Word{Slave: w.slaves["a"], Pulse: &farm.Pulse{Doing: "x"}, Held: []string{held.Token}, Length: time.Hour})
	if err == nil {
		t.Fatal("no error")
	}
	row, err := w.Slave(t.Context(), "a")
	w.must(err)
	if row.Doing != "" || row.LastSeen != nil {
		t.Errorf("the slave's row has changed: %+v", row)
	}
}

// TestSlavesTellWhatTheyHave: who drains a slave waits for its leases to end.
func TestSlavesTellWhatTheyHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	w.claim("a", "r1")
	w.claim("a", "r2")
	w.beat("b", "", 0)
	list, err := w.Slaves(t.Context())
	w.must(err)
	got := map[string]int{}
	for _, s := range list {
		got[s.Name] = s.Leases
	}
	if got["a"] != 2 || got["b"] != 0 {
		t.Errorf("leases by slave: %v", got)
	}
	w.beat("a", "", 0)
	if list, _ = w.Slaves(t.Context()); list[0].Name != "a" || list[0].Leases != 0 {
		t.Errorf("it holds nothing any more, and has %+v", list[0])
	}
}

// TestWordIsKept: a beat leaves the machine's description, a hello ends the
// figures of an earlier life.
func TestWordIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := farm.Machine{Version: "v1", Model: "Pi 4", OS: "Debian", Memory: 7, Targets: []farm.Served{{Target: target, Facts: farm.Facts{Python: "3.11.2"}}}}
	p := farm.Pulse{Doing: "building", Load: 0.5, Temperature: 61.5, MemoryFree: 3, DiskFree: 4}
	for _, c := range []struct {
		word  store.Word
		pulse *farm.Pulse
	}{
		{store.Word{Machine: &m}, nil},
		{store.Word{Pulse: &p}, &p},
		{store.Word{Machine: &m}, nil},
	} {
		c.word.Slave = w.slaves["a"]
		_, err := w.Heard(t.Context(), c.word)
		w.must(err)
		conn, err := pgx.Connect(t.Context(), w.dsn)
		w.must(err)
		var hello, beat []byte
		var doing string
		w.must(conn.QueryRow(t.Context(), `select hello, beat, doing from slaves where id = $1`, c.word.Slave).Scan(&hello, &beat, &doing))
		conn.Close(t.Context())
		var gotM farm.Machine
		var gotP *farm.Pulse
		w.must(json.Unmarshal(hello, &gotM))
		if beat != nil {
			w.must(json.Unmarshal(beat, &gotP))
		}
		if diff := cmp.Diff(m, gotM) + cmp.Diff(c.pulse, gotP); diff != "" || (c.pulse == nil) != (doing == "") {
			t.Errorf("doing %q, (-want +got):\n%s", doing, diff)
		}
	}
}
