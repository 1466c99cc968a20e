package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bus/natsserver"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
	"pinwheel/internal/porttest"
)

// TestBackgroundConnectionFindsItsServer: what was subscribed before the server
// was there is heard when it is.
func TestBackgroundConnectionFindsItsServer(t *testing.T) {
	t.Parallel()
	authority, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	listen := porttest.Reserve(t)
	lines, log := newLog()
	master := connect(t, bus.Options{URL: "nats://" + listen, Creds: creds, Log: log, Background: true})
	lines.wait(t, "waiting for NATS at nats://"+listen)
	if master.Connected() {
		t.Error("it says that it is connected, and there is no server")
	}
	stop, err := master.HandleHello(func(_ context.Context, slave string, _ bus.Hello) bus.Welcome {
		return bus.Welcome{HTTP: slave}
	})
	started(t, stop, err)
	server, err := natsserver.Start(natsserver.Config{Listen: listen, Authority: authority, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if err := master.Await(ctx(t)); err != nil {
		t.Fatal(err)
	}
	slaveCreds, _, err := authority.Enroll("pi-1", farm.RoleSlave)
	if err != nil {
		t.Fatal(err)
	}
	slave := connect(t, bus.Options{URL: server.URL(), Creds: slaveCreds, Log: zerolog.Nop()})
	if w, err := slave.Slave("pi-1").Hello(ctx(t), hello(t)); err != nil || w.HTTP != "pi-1" {
		t.Errorf("hello gets %v, %v", w, err)
	}
}

func TestBackgroundConnectionIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	stranger, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := stranger.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	_, err = bus.Connect(ctx(t), bus.Options{URL: f.Server.URL(), Creds: creds, Log: zerolog.Nop(), Background: true})
	if !errors.Is(err, bus.ErrCredentials) {
		t.Errorf("error %v, want ErrCredentials", err)
	}
}

// TestBackgroundConnectionEndsUnconnected: a master is told to stop while it
// waits.
func TestBackgroundConnectionEndsUnconnected(t *testing.T) {
	t.Parallel()
	authority, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	c, err := bus.Connect(ctx(t), bus.Options{
		URL: "nats://user:geheim@" + porttest.Reserve(t), Creds: creds, Log: zerolog.Nop(), Background: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.HandleBeat(func(context.Context, string, bus.Beat) bus.BeatReply { return bus.BeatReply{} }); err != nil {
		t.Error(err)
	}
	awaited := make(chan error, 1)
	go func() { awaited <- c.Await(context.Background()) }()
	c.Close()
	if err := receive(t, awaited, "end of the wait"); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("waiting for a closed connection ends with %v", err)
	}
}
