package natsserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// external is a server as an operator runs it: from a configuration file with
// what `master nats-config` prints.
type external struct {
	t    *testing.T
	path string
	s    *server.Server
}

func startExternal(t *testing.T, a *bus.Authority) *external {
	t.Helper()
	e := &external{t: t, path: filepath.Join(t.TempDir(), "nats-server.conf")}
	var err error
	if e.s, err = server.NewServer(e.configure(a, server.RANDOM_PORT)); err != nil {
		t.Fatal(err)
	}
	e.s.Start()
	t.Cleanup(func() { e.s.Shutdown(); e.s.WaitForShutdown() })
	if !e.s.ReadyForConnections(startWithin) {
		t.Fatal("the external server is not ready")
	}
	return e
}

// configure writes the file and reads it with the server's own parser.
func (e *external) configure(a *bus.Authority, port int) *server.Options {
	e.t.Helper()
	text := fmt.Sprintf("host: 127.0.0.1\nport: %d\n%s", port, a.Trust().ServerConfig())
	if err := os.WriteFile(e.path, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(e.path)
	if err != nil {
		e.t.Fatalf("%v in\n%s", err, text)
	}
	opts.NoSigs, opts.NoLog = true, true
	return opts
}

func (e *external) connect(creds []byte) (*bus.Conn, error) {
	return bus.Connect(e.t.Context(), bus.Options{URL: e.s.ClientURL(), Creds: creds, Log: zerolog.Nop()})
}

func (e *external) mustConnect(creds []byte, err error) *bus.Conn {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
	c, err := e.connect(creds)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(c.Close)
	return c
}

func enroll(t *testing.T, a *bus.Authority, name string) (creds []byte, public string) {
	t.Helper()
	creds, public, err := a.Enroll(name, farm.RoleSlave)
	if err != nil {
		t.Fatal(err)
	}
	return creds, public
}

// TestExternalServerHasOurLimits: a farm must not behave otherwise when its
// server moves out.
func TestExternalServerHasOurLimits(t *testing.T) {
	t.Parallel()
	a := authority(t)
	own, err := Start(Config{Authority: a, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	type limits struct {
		Ping    time.Duration
		MaxPing int
		Payload int32
		System  string
	}
	mine, err := own.s.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs := startExternal(t, a)
	other, err := theirs.s.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	of := func(v *server.Varz) limits {
		return limits{v.PingInterval, v.MaxPingsOut, int32(v.MaxPayload), v.SystemAccount}
	}
	if diff := cmp.Diff(of(mine), of(other)); diff != "" {
		t.Errorf("(-embedded +external)\n%s", diff)
	}
}

// TestExternalServerCarriesAJob goes from hello to report through a server that
// knows of the farm only what was printed for it.
func TestExternalServerCarriesAJob(t *testing.T) {
	t.Parallel()
	a := authority(t)
	e := startExternal(t, a)
	master := e.mustConnect(a.MasterCreds())
	target, err := farm.ParseTarget("cp311-linux_armv7l")
	if err != nil {
		t.Fatal(err)
	}
	lease := farm.Lease{Token: "tok", Job: 7, Package: "numpy", Version: "1.26.4", Target: target, Length: time.Minute}
	for _, register := range []func() (func(), error){
		func() (func(), error) {
			return master.HandleHello(func(context.Context, string, bus.Hello) bus.Welcome { return bus.Welcome{HTTP: "http://farm"} })
		},
		func() (func(), error) {
			return master.HandleNext(func(context.Context, string, bus.Next) bus.NextReply { return bus.NextReply{Lease: &lease} })
		},
		func() (func(), error) {
			return master.HandleReport(func(_ context.Context, slave string, m bus.Report) bus.ReportReply {
				return bus.ReportReply{Accepted: slave == "pi-1" && m.Token == lease.Token}
			})
		},
	} {
		if _, err := register(); err != nil {
			t.Fatal(err)
		}
	}
	creds, _ := enroll(t, a, "pi-1")
	slave := e.mustConnect(creds, nil).Slave("pi-1")
	w, err := slave.Hello(t.Context(), bus.Hello{Version: "1", Targets: []bus.ServedTarget{{Target: target}}})
	if err != nil || w.HTTP != "http://farm" {
		t.Fatalf("hello: %v, %v", w, err)
	}
	next, err := slave.Next(t.Context(), bus.Next{Request: "r", Targets: []farm.Target{target}})
	if err != nil || next.Lease == nil {
		t.Fatalf("next: %v, %v", next, err)
	}
	report := bus.Report{Token: next.Lease.Token, Job: next.Lease.Job, Outcome: farm.OutcomeFailed, Failure: farm.Failure{Cause: farm.Crashed}}
	if reply, err := slave.Report(t.Context(), report); err != nil || !reply.Accepted {
		t.Errorf("report: %v, %v", reply, err)
	}
}

func TestExternalServerKeepsStrangersOut(t *testing.T) {
	t.Parallel()
	a := authority(t)
	e := startExternal(t, a)
	stranger, _ := enroll(t, authority(t), "pi-1")
	if _, err := e.connect(stranger); !errors.Is(err, bus.ErrCredentials) {
		t.Errorf("a slave of another farm gets %v, want ErrCredentials", err)
	}
	if _, err := e.connect(nil); !errors.Is(err, bus.ErrCredentials) {
		t.Errorf("nobody gets %v, want ErrCredentials", err)
	}
}

// TestExternalServerLearnsOfARevocation: the file is printed again and the server
// told to read it again, as `nats-server --signal reload` does.
func TestExternalServerLearnsOfARevocation(t *testing.T) {
	t.Parallel()
	a := authority(t)
	e := startExternal(t, a)
	creds, public := enroll(t, a, "pi-1")
	other, _ := enroll(t, a, "pi-2")
	dead, alive := e.mustConnect(creds, nil), e.mustConnect(other, nil)
	if err := a.Revoke(public); err != nil {
		t.Fatal(err)
	}
	port := e.s.Addr().String()[len("127.0.0.1:"):]
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	if err := e.s.ReloadOptions(e.configure(a, number)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the revoked connection is closed", func() bool { return !dead.Connected() })
	if _, err := e.connect(creds); !errors.Is(err, bus.ErrCredentials) {
		t.Errorf("the revoked slave gets %v, want ErrCredentials", err)
	}
	if !alive.Connected() {
		t.Error("another slave lost its connection")
	}
}

// waitFor asks again and again: a connection tells nobody but its own log that it
// was closed.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(startWithin)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %v: %s", startWithin, what)
		}
	}
}
