package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestAgreeFlushes: what can be read again is committed without a flush of its own,
// and what somebody stands on is not. A trigger sees, at the commit, by which setting.
func TestAgreeFlushes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		what   string
		change func(w *world, k store.Known) store.Agreement
		want   string
	}{
		{"a new release", func(w *world, k store.Known) store.Agreement {
			a := change(k)
			a.Add = []store.NewRelease{w.release("2.0", 2, queued(0))}
			return a
		}, "off"},
		{"nothing new", func(_ *world, k store.Known) store.Agreement { return change(k) }, "off"},
		{"asked for by a person", func(_ *world, k store.Known) store.Agreement {
			a := change(k)
			a.Actor = "ann"
			return a
		}, "on"},
		{"a release removed", func(_ *world, k store.Known) store.Agreement {
			a := change(k)
			a.Remove = []int64{k.Releases[0].ID}
			return a
		}, "on"},
		{"a job removed", func(_ *world, k store.Known) store.Agreement {
			a := change(k)
			a.RemoveJobs = []int64{k.Releases[0].Jobs[0].ID}
			return a
		}, "on"},
		{"a yank, of what a page names", func(w *world, k store.Known) store.Agreement {
			w.built("a", "r1", "demo-1.0-cp311-cp311-linux_x86_64.whl")
			a := change(w.known("demo"))
			a.Page = true
			return a
		}, "on"},
		{"a yank without a page", func(_ *world, k store.Known) store.Agreement {
			a := change(k)
			a.Page = true
			return a
		}, "off"},
		{"a build aborted", func(w *world, _ store.Known) store.Agreement {
			w.claim("a", "r1")
			k := w.known("demo")
			a := change(k)
			a.Move = []store.JobMove{{Job: k.Releases[0].Jobs[0].ID, From: farm.Leased,
				Planned: store.Planned{State: farm.Skipped, Why: farm.WhyQuarantined, Reason: "held back"}}}
			return a
		}, "on"},
		{"spelled anew", func(_ *world, k store.Known) store.Agreement {
			a := change(k)
			a.Facts.Display = "Demo"
			return a
		}, "on"},
		{"a new project", func(w *world, _ store.Known) store.Agreement { return w.fresh("new", "1.0") }, "off"},
		{"a new project, spelled its own way", func(w *world, _ store.Known) store.Agreement {
			a := w.fresh("new", "1.0")
			a.Facts.Display = "New"
			return a
		}, "on"},
		{"a project removed", func(_ *world, k store.Known) store.Agreement {
			a := change(k)
			a.Gone = true
			return a
		}, "on"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.fresh("demo", "1.0"))
			w.noteFlushes()
			w.announce(8, "demo")
			_, err := w.Agree(t.Context(), []store.Agreement{c.change(w, w.known("demo"))}, w.take(1))
			w.must(err)
			got, err := w.rows(`select setting from flushes`)
			w.must(err)
			if diff := cmp.Diff([]string{c.want}, got); diff != "" {
				t.Errorf("synchronous_commit at the commit: %s", diff)
			}
		})
	}
}

// noteFlushes keeps how transactions that take names off the worklist are committed, on
// a server that flushes by default.
func (w *world) noteFlushes() {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(w.t.Context())
	for _, q := range []string{
		`create table flushes (setting text)`,
		`create function note_flush() returns trigger language plpgsql as $$
			begin insert into flushes values (current_setting('synchronous_commit')); return null; end $$`,
		`create constraint trigger note_flush after delete on reading deferrable initially deferred
			for each row execute function note_flush()`,
		`do $$ begin execute format('alter database %I set synchronous_commit = on', current_database()); end $$`,
	} {
		_, err := conn.Exec(w.t.Context(), q)
		w.must(err)
	}
	s, err := store.Open(w.t.Context(), w.dsn) // for the database's setting
	w.must(err)
	w.t.Cleanup(s.Close)
	w.Store = s
}
