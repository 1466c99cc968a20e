package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
)

// TestAsking: who asks is known by its subject, and hears what was answered.
func TestAsking(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	askers := make(chan bus.Asker, 10)
	stop, err := f.Master.HandleLook(func(_ context.Context, who bus.Asker, _ bus.Look) bus.Snapshot {
		askers <- who
		return bus.Snapshot{Version: "1.0"}
	})
	started(t, stop, err)
	stop, err = f.Master.HandleLog(func(_ context.Context, who bus.Asker, m bus.LogAsk) bus.LogPart {
		askers <- who
		return bus.LogPart{Build: m.Build, Data: []byte("x")}
	})
	started(t, stop, err)
	stop, err = f.Master.HandleSteer(func(_ context.Context, who bus.Asker, m bus.Steer) bus.Steered {
		askers <- who
		return bus.Steered{Error: "not " + m.Slave}
	})
	started(t, stop, err)
	for _, role := range []farm.Role{farm.RoleMonitor, farm.RoleOperator} {
		ask := f.Connect(t, "anna", f.Creds(t, "anna", role)).Ask()
		if s, err := ask.Snapshot(ctx(t)); err != nil || s.Version != "1.0" {
			t.Errorf("%s: %+v, %v", role, s, err)
		}
		if p, err := ask.Log(ctx(t), 7, 0); err != nil || p.Build != 7 || string(p.Data) != "x" {
			t.Errorf("%s: %+v, %v", role, p, err)
		}
		for range 2 {
			if who := receive(t, askers, "asker"); who != (bus.Asker{Role: role, Name: "anna"}) {
				t.Errorf("%s is taken for %v", role, who)
			}
		}
		within := patience
		if role == farm.RoleMonitor { // it waits in vain
			within = time.Second
		}
		short, cancel := context.WithTimeout(ctx(t), within)
		_, err := ask.Steer(short, bus.Steer{Do: bus.SteerPause, Slave: "pi-1"})
		cancel()
		switch {
		case role == farm.RoleMonitor && (err == nil || errors.Is(err, bus.ErrRefused)):
			t.Errorf("a monitor's wish was heard: %v", err)
		case role == farm.RoleOperator && (!errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), "not pi-1")):
			t.Errorf("an operator's wish: %v", err)
		}
	}
	if who := receive(t, askers, "asker"); who.Role != farm.RoleOperator {
		t.Errorf("%v steered", who)
	}
}

// An operator must not make the master speak where its own credentials do not reach.
func TestAnswersGoToTheAskersInboxOnly(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	lines, log := newLog()
	creds, err := f.Authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	master := connect(t, bus.Options{URL: f.Server.URL(), Creds: creds, Log: log})
	handled := make(chan bus.Asker, 10)
	stop, err := master.HandleSteer(func(_ context.Context, who bus.Asker, _ bus.Steer) bus.Steered {
		handled <- who
		return bus.Steered{}
	})
	started(t, stop, err)
	raw := dial(t, f, "anna", farm.RoleOperator)
	for _, reply := range []string{"farm.v1.slave.pi-1.control", "_INBOX.operator_otto.x", "_INBOX.anna.x", "_INBOX.monitor_anna.x", "farm.v1.event.built"} {
		if err := raw.PublishRequest("farm.v1.ask.control.anna", reply, []byte(`{"protocol":1,"do":"pause","slave":"pi-1"}`)); err != nil {
			t.Fatal(err)
		}
		lines.wait(t, "is not the sender's own")
	}
	if len(handled) > 0 {
		t.Errorf("%v was heard", <-handled)
	}
	msg, err := raw.Request("farm.v1.ask.control.anna", []byte(`{"protocol":1,"do":"format"}`), patience)
	if err != nil || !strings.Contains(string(msg.Data), "nothing that can be done") {
		t.Errorf("a wish that there is not: %s, %v", data(msg), err)
	}
	if msg, err := raw.Request("farm.v1.ask.control.anna", []byte(`{"protocol":9}`), patience); err != nil || !strings.Contains(string(msg.Data), "protocol 9 is not spoken here") {
		t.Errorf("another protocol: %s, %v", data(msg), err)
	}
}

func data(m *nats.Msg) string {
	if m == nil {
		return ""
	}
	return string(m.Data)
}
