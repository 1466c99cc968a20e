package bus_test

import (
	"context"
	"slices"
	"testing"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
)

// TestMastersOverhearHello: one master answers, and all know.
func TestMastersOverhearHello(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	creds, err := f.Authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	heard, answers := make(chan string, 10), make(chan string, 10)
	for name, master := range map[string]*bus.Conn{"one": f.Master, "two": f.Connect(t, "second master", creds)} {
		stop, err := master.HandleHello(func(context.Context, string, bus.Hello) bus.Welcome {
			answers <- name
			return bus.Welcome{HTTP: "http://farm"}
		})
		started(t, stop, err)
		stop, err = master.OverhearHello(func(slave string, m bus.Hello) { heard <- name + " " + slave + " " + m.Asking })
		started(t, stop, err)
	}
	target := farm.Target{ABI: "cp311", Platform: "linux_armv7l"}
	m := bus.Hello{Version: "1", Targets: []bus.ServedTarget{{Target: target}}, Asking: "r"}
	if _, err := f.Slave(t, "pi-1").Slave("pi-1").Hello(ctx(t), m); err != nil {
		t.Fatal(err)
	}
	got := []string{receive(t, heard, "one of them"), receive(t, heard, "the other")}
	if slices.Sort(got); !slices.Equal(got, []string{"one pi-1 r", "two pi-1 r"}) {
		t.Errorf("heard by %q", got)
	}
	if len(answers) != 1 {
		t.Errorf("it was answered %d times", len(answers))
	}
}
