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
)

// restart ends the server and starts another one with the same authority on the
// same port, as a master that starts again does.
func restart(t *testing.T, f *bustest.Farm) {
	t.Helper()
	listen := strings.TrimPrefix(f.Server.URL(), "nats://")
	f.Server.Close()
	server, err := natsserver.Start(natsserver.Config{Listen: listen, Authority: f.Authority, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
}

func TestReconnectsToANewServer(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	masterLines, masterLog := newLog()
	slaveLines, slaveLog := newLog()
	creds, err := f.Authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	master := connect(t, bus.Options{URL: f.Server.URL(), Creds: creds, Log: masterLog})
	slave := connect(t, bus.Options{URL: f.Server.URL(), Creds: f.Creds(t, "pi-1", farm.RoleSlave), Log: slaveLog})
	entered := make(chan struct{}, 10)
	stop, err := master.HandleReport(func(ctx context.Context, _ string, m bus.Report) bus.ReportReply {
		if entered <- struct{}{}; m.Token == "slow" {
			<-ctx.Done()
		}
		return bus.ReportReply{Accepted: true}
	})
	started(t, stop, err)
	report := bus.Report{Token: "slow", Job: 7, Outcome: farm.OutcomeFailed, Failure: farm.Failure{Cause: farm.Crashed}}
	answer := make(chan error, 1)
	go func() {
		_, err := slave.Slave("pi-1").Report(ctx(t), report)
		answer <- err
	}()
	receive(t, entered, "report")
	restart(t, f)
	// Long before the half minute that a report may take.
	if err := receive(t, answer, "end of the request that was under way"); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("the report under way got %v, want ErrNobody", err)
	}
	masterLines.wait(t, "NATS is back")
	slaveLines.wait(t, "NATS is back")
	report.Token = "quick"
	if reply, err := slave.Slave("pi-1").Report(ctx(t), report); err != nil || !reply.Accepted {
		t.Errorf("after the restart a report gets %v, %v", reply, err)
	}
}

// A program that starts in the moment in which its server ends must not end with it:
// what it subscribes to, it hears from the next server.
func TestSubscribesWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	slaveLines, slaveLog := newLog()
	slave := connect(t, bus.Options{URL: f.Server.URL(), Creds: f.Creds(t, "pi-1", farm.RoleSlave), Log: slaveLog})
	f.Server.Close()
	slaveLines.wait(t, "NATS is lost")
	orders := make(chan bus.Control, 1)
	stop, err := slave.Slave("pi-1").OnControl(func(c bus.Control) { orders <- c })
	started(t, stop, err)
	restart(t, f)
	slaveLines.wait(t, "NATS is back")
	creds, err := f.Authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	master := connect(t, bus.Options{URL: f.Server.URL(), Creds: creds, Log: zerolog.Nop()})
	if err := master.SendControl("pi-1", bus.Control{Do: bus.DoPause}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, orders, "order"); got.Do != bus.DoPause {
		t.Errorf("the order is %q", got.Do)
	}
}
