package desk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/depot"
	"pinwheel/internal/desk"
	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a desk on a real database and a real wire.
type world struct {
	*storetest.DB
	t      *testing.T
	wire   *bustest.Farm
	files  *depot.Local
	events chan bus.Event
	skips  []desk.Skip
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{DB: storetest.New(t, storetest.ARM()), t: t, wire: bustest.Start(t), events: make(chan bus.Event, 100)}
	var err error
	w.files, err = depot.Open(t.TempDir())
	w.Must(err)
	d := desk.New(desk.Config{
		Store: w.Store, Logs: w.files, Version: "1.0", Log: zerolog.Nop(),
		Skip: func(_ context.Context, s desk.Skip) (string, int64, error) {
			w.skips = append(w.skips, s)
			return "skipped", 99, nil
		},
		Tell: func(e bus.Event) { w.events <- e },
	})
	for _, register := range []func() (func(), error){
		func() (func(), error) { return w.wire.Master.HandleLook(d.Look) },
		func() (func(), error) { return w.wire.Master.HandleLog(d.LogPart) },
		func() (func(), error) { return w.wire.Master.HandleSteer(d.Steer) },
	} {
		stop, err := register()
		w.Must(err)
		t.Cleanup(stop)
	}
	return w
}

// person enrolls somebody and connects as them.
func (w *world) person(name string, role farm.Role) bus.AskEnd {
	w.t.Helper()
	w.Must(w.Store.EnrollSlave(w.t.Context(), name, role, "key-"+name, "test"))
	return w.wire.Connect(w.t, name, w.wire.Creds(w.t, name, role)).Ask()
}

func (w *world) claim(slave string) farm.Lease {
	w.t.Helper()
	row, err := w.Store.Slave(w.t.Context(), slave)
	w.Must(err)
	targets, err := w.Store.Targets(w.t.Context())
	w.Must(err)
	l, ok, err := w.Store.Claim(w.t.Context(), store.ClaimRequest{Slave: row.ID, Request: "r", Token: "T-" + slave, Targets: []int64{targets[0].ID}, Length: time.Minute, Most: 4})
	w.Must(err)
	if !ok {
		w.t.Fatal("there is nothing to claim")
	}
	return l
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Queue("alpha", storetest.ARM())
	w.Queue("beta", storetest.ARM())
	lease := w.claim("a")
	for outcome, ago := range map[string]string{"built": "150 seconds", "failed": "59 minutes", "rejected": "1 second", "lost": "30 minutes", "superseded": "2 hours"} {
		w.Exec(`insert into builds (job_id, slave_id, token, request, started_at, ended_at, outcome)
			select job_id, slave_id, $2, $2, now() - interval '3 hours', now() - $1::interval, $2 from builds where id = $3`, ago, outcome, lease.Build)
	}
	s, err := w.person("desk", farm.RoleMonitor).Snapshot(t.Context())
	w.Must(err)
	if len(s.Targets) != 1 || s.Targets[0].Jobs["queued"] != 1 || s.Targets[0].Jobs["leased"] != 1 || len(s.Targets[0].Next) != 1 {
		t.Errorf("the target: %+v", s.Targets)
	}
	if len(s.Builds) != 1 || s.Builds[0].Build != lease.Build || s.Builds[0].Job != lease.Job || s.Builds[0].Slave != "a" {
		t.Errorf("builds: %+v, want %d", s.Builds, lease.Build)
	}
	var names []string
	for _, sl := range s.Slaves { // without those that do not build
		names = append(names, sl.Name)
	}
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Error(diff)
	}
	at := func(minutes []int64) (where []int) {
		for i, n := range minutes {
			for range n {
				where = append(where, i)
			}
		}
		return where
	}
	if diff := cmp.Diff([][]int{{57}, {0, 59}, {29}}, [][]int{at(s.Pace.Built), at(s.Pace.Failed), at(s.Pace.Lost)}); diff != "" {
		t.Errorf("minutes in which builds ended, as built, failed, lost (-want +got):\n%s", diff)
	}
	if s.Version != "1.0" || s.At.IsZero() || len(s.Pace.Built) != 60 {
		t.Errorf("version %q, at %s, %d minutes", s.Version, s.At, len(s.Pace.Built))
	}
}

// TestMonitorsCannotSteer: not by their own name, and not by that of an operator.
func TestMonitorsCannotSteer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := w.person("desk", farm.RoleMonitor).Steer(ctx, bus.Steer{Do: bus.SteerPause, Slave: "a"}); err == nil {
		t.Error("a monitor pauses a slave")
	}
	if row, err := w.Store.Slave(t.Context(), "a"); err != nil || row.Paused {
		t.Errorf("paused: %v, %v", row.Paused, err)
	}
	if len(w.events) > 0 {
		t.Errorf("it is told: %+v", <-w.events)
	}
}

// TestOperatorsSteer: each order is done, told, and stands in the audit trail with who.
func TestOperatorsSteer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.person("anna", farm.RoleOperator)
	w.Queue("alpha", storetest.ARM())
	w.attend()
	w.Exec(`update slaves set last_seen = now() where name = 'b'`)
	for _, row := range []struct {
		order        bus.Steer
		said, action string
	}{
		{bus.Steer{Do: bus.SteerPriority, Package: "Alpha", Priority: farm.PriorityBacklog}, "1 job is queued as backlog", "priority"},
		{bus.Steer{Do: bus.SteerPause, Slave: "a"}, "a is paused", "pause"},
		{bus.Steer{Do: bus.SteerResume, Slave: "a"}, "a gets jobs again", "resume"},
		{bus.Steer{Do: bus.SteerQuit, Slave: "b"}, "b was told to end", "quit"},
	} {
		got, err := anna.Steer(t.Context(), row.order)
		w.Must(err)
		if got.Said != row.said {
			t.Errorf("%s: said %q, want %q", row.order.Do, got.Said, row.said)
		}
		w.noted(row.action, "operator anna")
		if e := <-w.events; e.Kind != row.order.Do || !strings.HasPrefix(e.Detail, "anna: ") {
			t.Errorf("%s is told as %+v", row.order.Do, e)
		}
	}
	if got := w.Job("alpha"); got.Priority != farm.PriorityBacklog {
		t.Errorf("its priority is %s", got.Priority.Word())
	}
	w.claim("a")
	got, err := anna.Steer(t.Context(), bus.Steer{Do: bus.SteerAbort, Slave: "a"})
	w.Must(err)
	if !strings.HasPrefix(got.Said, "alpha ") || !strings.HasSuffix(got.Said, ": queued") {
		t.Errorf("abort: %q", got.Said)
	}
	w.noted("abort", "operator anna")
	if _, err := anna.Steer(t.Context(), bus.Steer{Do: bus.SteerSkip, Package: "Alpha", Reason: "no"}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]desk.Skip{{Package: "alpha", Reason: "no", Actor: "operator anna"}}, w.skips); diff != "" {
		t.Error(diff)
	}
}

// attend hears orders, as a master does.
func (w *world) attend() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	heard, ended := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Store.Listen(ctx, store.OrderChannel, func(payload string) { heard <- payload })
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	<-heard
}

func (w *world) noted(action, actor string) {
	w.t.Helper()
	notes, err := w.Store.History(w.t.Context(), 1, false)
	w.Must(err)
	if len(notes) != 1 || notes[0].Action != action || notes[0].Actor != actor {
		w.t.Errorf("the audit trail has %+v, want %s by %s", notes, action, actor)
	}
}

// TestRefusals: what cannot be done is said in words, and nothing is told or noted.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.person("anna", farm.RoleOperator)
	w.attend()
	for want, order := range map[string]bus.Steer{
		"a builds nothing now":      {Do: bus.SteerAbort, Slave: "a"},
		"b was not told: it was ":   {Do: bus.SteerQuit, Slave: "b"},
		"no slave nobody":           {Do: bus.SteerPause, Slave: "nobody"},
		"is enrolled as operator":   {Do: bus.SteerPause, Slave: "anna"},
		"no such job is failed":     {Do: bus.SteerRequeue, Package: "nothing"},
		"no such job is queued":     {Do: bus.SteerPriority, Package: "nothing", Priority: farm.PriorityNew},
		"no such job is failed ":    {Do: bus.SteerRequeue, Cause: farm.Timeout},
		"want a package or a cause": {Do: bus.SteerRequeue},
		"want a reason":             {Do: bus.SteerSkip, Package: "x"},
		"control characters":        {Do: bus.SteerSkip, Package: "x", Reason: "a\x1bb"},
		"nothing that can be done":  {Do: "format"},
		"want up to 128 printable":  {Do: bus.SteerSkip, Package: "x", Version: "a b", Reason: "r"},
	} {
		_, err := anna.Steer(t.Context(), order)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: %v, want %q", order, err, want)
		}
	}
	if len(w.events) > 0 {
		t.Errorf("it is told: %+v", <-w.events)
	}
}

// TestWhoIsNotEnrolled: credentials are good for the wire; the farm looks again.
func TestWhoIsNotEnrolled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.person("anna", farm.RoleOperator)
	_, err := w.Store.RevokeSlave(t.Context(), "anna", "key-anna", "test")
	w.Must(err)
	if _, err := anna.Steer(t.Context(), bus.Steer{Do: bus.SteerPause, Slave: "a"}); !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("revoked, it steers: %v", err)
	}
	if _, err := anna.Snapshot(t.Context()); !errors.Is(err, bus.ErrRefused) {
		t.Errorf("revoked, it looks: %v", err)
	}
	otto := w.wire.Connect(t, "otto", w.wire.Creds(t, "otto", farm.RoleOperator)).Ask()
	if _, err := otto.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "operator otto is not enrolled here") {
		t.Errorf("never enrolled, it looks: %v", err)
	}
	w.Must(w.Store.EnrollSlave(t.Context(), "otto", farm.RoleMonitor, "key-otto", "test"))
	if _, err := otto.Steer(t.Context(), bus.Steer{Do: bus.SteerPause, Slave: "a"}); err == nil || !strings.Contains(err.Error(), "enrolled as monitor") {
		t.Errorf("enrolled as a monitor, it steers: %v", err)
	}
}

// TestLog: a stored log comes in pieces, as it was written; of what is under way it is
// said that it is.
func TestLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.person("desk", farm.RoleMonitor)
	w.Queue("alpha", storetest.ARM())
	lease := w.claim("a")
	part, err := desk.Log(t.Context(), lease.Build, 0)
	w.Must(err)
	if part.Outcome != "" || part.Job != lease.Job || part.Slave != "a" || len(part.Data) > 0 {
		t.Errorf("under way: %+v", part)
	}
	text := bytes.Repeat([]byte("x\x1b[31m0123456789\n"), 40_000) // more than two pieces
	file := w.store(text)
	w.Exec(`update builds set outcome = 'failed', ended_at = now(), cause = 'timeout', log_sha256 = $2, log_size = $3 where id = $1`,
		lease.Build, file.SHA256, file.Size)
	var got []byte
	for more := true; more; more = part.More {
		part, err = desk.Log(t.Context(), lease.Build, int64(len(got)))
		w.Must(err)
		got = append(got, part.Data...)
	}
	if !bytes.Equal(got, text) || part.Cause != farm.Timeout {
		t.Errorf("%d bytes, want %d; cause %s", len(got), len(text), part.Cause)
	}
	if part, err = desk.Log(t.Context(), lease.Build, 1<<40); err != nil || part.More || len(part.Data) > 0 {
		t.Errorf("behind its end: %v, %d bytes", err, len(part.Data))
	}
	if _, err := desk.Log(t.Context(), 4711, 0); err == nil || !strings.Contains(err.Error(), "there is no build 4711") {
		t.Errorf("a build that there is not: %v", err)
	}
}

// store keeps a log in the form that slaves send.
func (w *world) store(text []byte) farm.File {
	w.t.Helper()
	var b bytes.Buffer
	w.Must(buildlog.Compress(&b, bytes.NewReader(text)))
	file := farm.File{Name: "log", SHA256: fmt.Sprintf("%x", sha256.Sum256(b.Bytes())), Size: int64(b.Len())}
	w.Must(w.files.Put(w.t.Context(), &b, file))
	return file
}
