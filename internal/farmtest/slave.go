package farmtest

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// Slave is a slave in this process.
type Slave struct {
	Agent *agent.Agent
	stop  func()
}

// Python finds the interpreter that slaves build with.
func Python(t testing.TB) pip.Python {
	t.Helper()
	py, err := findPython()
	if err != nil {
		t.Fatal(err)
	}
	return py
}

// findPython asks once: pip takes half a second to say what it is, and most tests of
// programs want to know.
var findPython = sync.OnceValues(func() (pip.Python, error) {
	py, _, err := pip.Find(context.Background(), "", proc.BuildUser())
	return py, err
})

// StartSlave runs a slave on the state folder dir until the test ends, or Stop.
func StartSlave(t testing.TB, natsURL string, creds []byte, dir string, py pip.Python, change ...func(*agent.Config)) *Slave {
	t.Helper()
	log := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	conn, err := bus.Connect(t.Context(), bus.Options{URL: natsURL, Creds: creds, Label: "slave", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	cfg := agent.Config{
		Conn: conn, StateDir: filepath.Join(dir, "slave"), Targets: []agent.Target{{Python: py}}, Mode: builder.Bwrap,
		User: proc.BuildUser(), Version: "test", Log: log,
	}
	for _, c := range change {
		c(&cfg)
	}
	a, err := agent.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	s := &Slave{Agent: a}
	s.stop = func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Errorf("slave: %v", err)
		}
		conn.Close()
		s.stop = func() {}
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// Stop ends the slave as a power cut would end its work: the build is lost.
func (s *Slave) Stop() { s.stop() }

// patience is how long Eventually waits. It is long because machines that test
// are busy; a test that passes never waits so long.
const patience = 5 * time.Minute

// Eventually waits until ok. It asks again and again: what is waited for is a
// row that another process writes.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-t.Context().Done():
			t.Fatalf("the test ended before %s", what)
		case <-late:
			t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}
