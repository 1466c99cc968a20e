package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var target = farm.Target{ABI: "cp311", Platform: "linux_x86_64"}

// world is a farm's database with one target, two slaves and what a test adds.
type world struct {
	*store.Store
	t        testing.TB
	dsn      string
	targetID int64
	slaves   map[string]int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dsn := pgtest.New(t)
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	w := &world{Store: s, t: t, dsn: dsn, slaves: map[string]int64{}}
	w.must(s.AddTarget(t.Context(), target, farm.Facts{}, "test"))
	rows, err := s.Targets(t.Context())
	w.must(err)
	w.targetID = rows[0].ID
	for _, name := range []string{"a", "b"} {
		w.must(s.EnrollSlave(t.Context(), name, farm.RoleSlave, "key-"+name, "test"))
		row, err := s.Slave(t.Context(), name)
		w.must(err)
		w.slaves[name] = row.ID
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// add queues releases of a package, the first one oldest.
func (w *world) add(name string, versions ...string) {
	w.t.Helper()
	var releases []store.ReleaseFacts
	for i, v := range versions {
		releases = append(releases, store.ReleaseFacts{Version: v, Raw: v,
			Released: time.Date(2024, 1, 1+i, 0, 0, 0, 0, time.UTC), Sdist: farm.Sdist{Filename: name + "-" + v + ".tar.gz"}})
	}
	storetest.Release(w.t, w.Store, name, target, releases...)
}

func (w *world) claim(slave, request string) (farm.Lease, bool) {
	w.t.Helper()
	l, ok, err := w.Claim(w.t.Context(), store.ClaimRequest{
		Slave: w.slaves[slave], Request: request, Token: slave + "/" + request, Targets: []int64{w.targetID}, Length: time.Minute,
	})
	w.must(err)
	return l, ok
}

func (w *world) state(name, version string) store.JobRow {
	w.t.Helper()
	jobs, err := w.Jobs(w.t.Context(), store.Selector{Package: name, Version: version})
	w.must(err)
	if len(jobs) != 1 {
		w.t.Fatalf("%s %s: %d jobs", name, version, len(jobs))
	}
	return jobs[0]
}

func (w *world) exec(sql string, args ...any) error {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(w.t.Context(), sql, args...)
	return err
}

func (w *world) wheel(name string) store.NewWheel {
	return store.NewWheel{File: farm.File{Name: name, SHA256: strings.Repeat("a", 64), Size: 10},
		MetadataSHA256: strings.Repeat("b", 64), Metadata: []byte("Metadata-Version: 2.1\n"), Tags: []string{"cp311-cp311-linux_x86_64"}}
}

func (w *world) ending(slave string, l farm.Lease) store.Ending {
	return store.Ending{Slave: w.slaves[slave], Token: l.Token}
}

func TestEnrollTwiceIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.EnrollSlave(t.Context(), "a", farm.RoleSlave, "other", "test"); !errors.Is(err, farm.ErrConflict) {
		t.Errorf("error %v", err)
	}
}

func TestSecretStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, err := w.Secret(t.Context(), "k")
	w.must(err)
	two, err := w.Secret(t.Context(), "k")
	w.must(err)
	if len(one) != 32 || string(one) != string(two) {
		t.Errorf("%x, then %x", one, two)
	}
}

func TestListenHearsQueueing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Listen(ctx, store.QueueChannel, func(p string) { heard <- p })
	}()
	<-heard // connected
	w.add("demo", "1.0")
	<-heard
	cancel()
	<-ended
}

func TestOpenNamesTheRemedy(t *testing.T) {
	t.Parallel()
	_, err := store.Open(t.Context(), pgtest.Empty(t))
	if !errors.Is(err, farm.ErrSchema) || !strings.Contains(err.Error(), "master migrate") {
		t.Errorf("error %v", err)
	}
	_, err = store.Open(t.Context(), "postgres://user:hunter2@[bad")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	from, to, err := store.Migrate(t.Context(), dsn)
	if err != nil || from != 0 || to < 1 {
		t.Fatalf("first: %d → %d, %v", from, to, err)
	}
	if again, _, err := store.Migrate(t.Context(), dsn); err != nil || again != to {
		t.Errorf("second: from %d, %v", again, err)
	}
}

// TestStatesAgreeWithTheSchema holds farm's states against the CHECK constraint.
func TestStatesAgreeWithTheSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	extra := map[farm.State]string{
		farm.Waiting: ", reason = 'x'", farm.Covered: ", reason = 'x'", farm.Skipped: ", reason = 'x'", farm.Failed: ", cause = 'unknown'",
		farm.Leased: fmt.Sprintf(", lease_token = 't', lease_slave_id = %d, lease_deadline = now()", w.slaves["a"]),
	}
	for _, s := range farm.States() {
		reset := `update jobs set state = 'queued', cause = '', lease_token = null, lease_slave_id = null, lease_deadline = null`
		w.must(w.exec(reset))
		if err := w.exec(`update jobs set state = $1`+extra[s], string(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if err := w.exec(`update jobs set state = 'lost'`); err == nil {
		t.Error("the schema takes a state that farm does not know")
	}
}
