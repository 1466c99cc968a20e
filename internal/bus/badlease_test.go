package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
)

// TestBadLeaseIsNotSent: a master does not say to a slave what it must not be told,
// wherever it has that from.
func TestBadLeaseIsNotSent(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	stop, err := f.Master.HandleNext(func(context.Context, string, bus.Next) bus.NextReply {
		return bus.NextReply{Lease: &farm.Lease{Token: "tok", Job: 7, Target: target(t),
			Recipe: farm.Recipe{Env: map[string]string{"LD_PRELOAD": "/tmp/x.so"}}}}
	})
	started(t, stop, err)
	reply, err := f.Slave(t, "pi-1").Slave("pi-1").Next(ctx(t), bus.Next{Request: "r", Targets: []farm.Target{target(t)}})
	if !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), "lease.recipe: variable LD_PRELOAD is not for recipes") {
		t.Errorf("%+v, %v", reply.Lease, err)
	}
}
