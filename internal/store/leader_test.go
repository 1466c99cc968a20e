package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
)

// TestOneLeads: of several masters on one database one leads, and when it ends
// another does.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	var leading atomic.Int64
	led := make(chan context.CancelFunc)
	group, all := errgroup.WithContext(t.Context())
	for range 3 {
		s, err := store.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		ctx, end := context.WithCancel(all)
		group.Go(func() error {
			err := s.WhileLeader(ctx, "test", func(ctx context.Context) error {
				if leading.Add(1) != 1 {
					t.Error("two lead at once")
				}
				defer leading.Add(-1)
				led <- end
				<-ctx.Done()
				return ctx.Err()
			})
			if !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		})
	}
	for range 3 {
		end := <-led
		end()
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestLeaderLosesTheDatabase: who is not seen any more leads no more, and leads
// again when it is.
func TestLeaderLosesTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, end := context.WithCancel(t.Context())
	led, lost := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- w.WhileLeader(ctx, "test", func(ctx context.Context) error {
			led <- struct{}{}
			<-ctx.Done()
			lost <- struct{}{}
			return ctx.Err()
		})
	}()
	<-led
	// Other tests lead on other databases of this server.
	w.must(w.exec(`
select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and l.classid = x'70696e6c'::int::oid and d.datname = current_database()`))
	<-lost
	<-led
	end()
	<-lost
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestFrozenLeader: who holds the lock and says nothing any more, though its
// connection stands, loses it.
func TestFrozenLeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	frozen, err := w.LeadAndFreeze(t.Context(), "test")
	w.must(err)
	defer frozen.Close(context.WithoutCancel(t.Context()))
	ctx, end := context.WithCancel(t.Context())
	led := false
	err = w.WhileLeader(ctx, "test", func(ctx context.Context) error {
		led = true
		end()
		return ctx.Err()
	})
	if !led {
		t.Errorf("nobody leads: %v", err)
	}
}

// TestFrozenTransaction: who stops between two statements does not keep others from
// the rows that it has locked.
func TestFrozenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.InTx(t.Context(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select 1 from slaves where name = 'a' for update`); err != nil {
			return err
		}
		if err := w.PauseSlave(t.Context(), "a", "", "m"); err != nil {
			t.Error(err)
		}
		_, err := tx.Exec(t.Context(), `update slaves set paused = false where name = 'a'`)
		return err
	})
	if err == nil {
		t.Error("the transaction that stood still is committed")
	}
}

func TestLeadEndsByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	errBroken := errors.New("broken")
	if err := w.WhileLeader(t.Context(), "test", func(context.Context) error { return errBroken }); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
	if err := w.WhileLeader(t.Context(), "test", func(context.Context) error { return nil }); err == nil {
		t.Error("no error")
	}
}

// TestTargetsHeard: a target is heard of by the slave that was heard last, and not
// by one that was revoked, or is paused.
func TestTargetsHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := func(want bool, most time.Duration) {
		t.Helper()
		all, err := w.TargetsHeard(t.Context())
		w.must(err)
		ago, ok := all[w.targetID]
		if ok != want || ago > most || len(all) > 1 {
			t.Errorf("heard of: %v", all)
		}
	}
	heard(false, 0)
	other := farm.Target{ABI: "cp27mu", Platform: "linux_armv7l"} // of no target of the farm
	m := farm.Machine{Targets: []farm.Served{{Target: target}, {Target: other}}}
	for _, name := range []string{"a", "b"} {
		_, err := w.Heard(t.Context(), store.Word{Slave: w.slaves[name], Machine: &m})
		w.must(err)
	}
	w.must(w.exec(`update slaves set last_seen = now() - interval '1 hour' where name = 'a'`))
	heard(true, time.Minute)
	for range 2 { // said twice, it is paused since the first time
		w.must(w.PauseSlave(t.Context(), "b", "", "m"))
		heard(true, 2*time.Hour)
		w.must(w.exec(`update slaves set paused_at = now() - interval '2 hours' where name = 'b' and paused_at > now() - interval '1 hour'`))
	}
	if all, err := w.TargetsHeard(t.Context()); err != nil || all[w.targetID] < 59*time.Minute {
		t.Errorf("a paused slave is heard of: %v, %v", all, err)
	}
	w.must(w.ResumeSlave(t.Context(), "b", "m"))
	heard(true, time.Minute)
	w.must(w.exec(`update slaves set revoked_at = now() where name = 'b'`))
	heard(true, 2*time.Hour)
	w.must(w.exec(`update slaves set hello = '{"targets": null}'`))
	heard(false, 0)
}
