package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestRetiredTarget: its jobs are given to nobody, not even to one who asked
// before, and what is built already counts; AddTarget brings it back.
func TestRetiredTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	held, _ := w.claim("a", "r1")
	for range 2 { // twice is harmless
		r, err := w.RetireTarget(t.Context(), target, "test")
		if err != nil || r != (store.Retired{Queued: 2, Leased: 1}) {
			t.Fatalf("retired: %+v, %v", r, err)
		}
	}
	if rows, err := w.Targets(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("targets: %+v, %v", rows, err)
	}
	if rows, err := w.AllTargets(t.Context()); err != nil || len(rows) != 1 || rows[0].Active {
		t.Errorf("all targets: %+v, %v", rows, err)
	}
	if l, ok := w.claim("b", "r2"); ok {
		t.Errorf("a job of it was leased: %+v", l)
	}
	gone, err := w.Heard(t.Context(), store.Word{Slave: w.slaves["a"], Held: []string{held.Token}, Length: time.Minute})
	if err != nil || len(gone) > 0 {
		t.Errorf("the build under way lost its lease: %v, %v", gone, err)
	}
	w.must(w.AddTarget(t.Context(), target, farm.Facts{}, "test"))
	if got, want := w.trail(target.String()), "add target, retire, retire, add target"; got != want {
		t.Errorf("the audit trail: %s, want %s", got, want)
	}
	if l, ok := w.claim("b", "r3"); !ok || l.Version != "2.0" {
		t.Errorf("after it was brought back: %v, %+v", ok, l)
	}
	if _, err := w.RetireTarget(t.Context(), farm.Target{ABI: "cp27", Platform: "linux_armv7l"}, "test"); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
}

// trail is what the audit trail has of a subject, oldest first.
func (w *world) trail(subject string) (actions string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	const q = `select string_agg(action, ', ' order by id) from audit_trail where actor = 'test' and subject = $1`
	w.must(conn.QueryRow(w.t.Context(), q, subject).Scan(&actions))
	return actions
}

// TestStatusHasEveryState, also those without a job, of every target that is
// active or has jobs.
func TestStatusHasEveryState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	idle, retired := farm.Target{ABI: "cp39", Platform: "linux_x86_64"}, farm.Target{ABI: "cp38", Platform: "linux_x86_64"}
	w.must(w.AddTarget(t.Context(), idle, farm.Facts{}, "test"))
	w.must(w.AddTarget(t.Context(), retired, farm.Facts{}, "test"))
	for _, x := range []farm.Target{target, retired} {
		_, err := w.RetireTarget(t.Context(), x, "test")
		w.must(err)
	}
	st, err := w.Status(t.Context())
	w.must(err)
	zero := func(queued int64) map[string]int64 {
		m := map[string]int64{}
		for _, s := range farm.States() {
			m[string(s)] = 0
		}
		m[string(farm.Queued)] = queued
		return m
	}
	want := map[string]map[string]int64{target.String(): zero(1), idle.String(): zero(0)}
	if diff := cmp.Diff(want, st.Jobs); diff != "" {
		t.Error(diff)
	}
}
