package bus_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bus/natsserver"
	"pinwheel/internal/farm"
)

// inBubble runs f on a farm whose server, master and slave live in one bubble
// of synctest: all waiting is real, and takes no time.
func inBubble(t *testing.T, f func(t *testing.T, master *bus.Conn, slave *bus.SlaveEnd)) {
	a, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		server, err := natsserver.Start(natsserver.Config{Authority: a, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		creds, err := a.MasterCreds()
		if err != nil {
			t.Fatal(err)
		}
		master := connect(t, bus.Options{InProcess: server, Creds: creds, Log: zerolog.Nop()})
		defer master.Close()
		creds, _, err = a.Enroll("pi-1", farm.RoleSlave)
		if err != nil {
			t.Fatal(err)
		}
		slave := connect(t, bus.Options{InProcess: server, Creds: creds, Log: zerolog.Nop()})
		defer slave.Close()
		f(t, master, slave.Slave("pi-1"))
	})
}

func TestNextIsAskedAgainUnchanged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, master *bus.Conn, slave *bus.SlaveEnd) {
		asked := make(chan string, 10)
		stop, err := master.HandleNext(func(ctx context.Context, _ string, m bus.Next) bus.NextReply {
			if asked <- m.Request; len(asked) < 3 {
				<-time.After(time.Minute) // this answer comes too late
			}
			return bus.NextReply{Lease: &farm.Lease{Token: "tok", Target: target(t)}}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		start := time.Now()
		reply, err := slave.Next(t.Context(), bus.Next{Request: "r1", Targets: []farm.Target{target(t)}})
		if err != nil || reply.Lease == nil || reply.Lease.Token != "tok" {
			t.Errorf("next got %v, %v", reply, err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("the third question came after %v, want 10 s", took)
		}
		for range 3 {
			if got := receive(t, asked, "question"); got != "r1" {
				t.Errorf("asked %q, want r1 each time", got)
			}
		}
	})
}

func TestASilentMasterIsNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, master *bus.Conn, slave *bus.SlaveEnd) {
		stop, err := master.HandleBeat(func(context.Context, string, bus.Beat) bus.BeatReply {
			<-time.After(time.Minute)
			return bus.BeatReply{}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		start := time.Now()
		if _, err := slave.Beat(t.Context(), bus.Beat{}); !errors.Is(err, bus.ErrNobody) {
			t.Errorf("error %v, want ErrNobody", err)
		}
		if took := time.Since(start); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("gave up after %v, want 5 s", took)
		}
	})
}

// A handler that waits as long as its context answers in time.
func TestHandlersEndBeforeTheAskerGivesUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, master *bus.Conn, slave *bus.SlaveEnd) {
		var calls atomic.Int32
		stop, err := master.HandleNext(func(ctx context.Context, _ string, _ bus.Next) bus.NextReply {
			calls.Add(1)
			<-ctx.Done()
			return bus.NextReply{}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		reply, err := slave.Next(t.Context(), bus.Next{Request: "r1", Targets: []farm.Target{target(t)}})
		if err != nil || reply.Lease != nil || calls.Load() != 1 {
			t.Errorf("next got %v, %v after %d calls", reply, err, calls.Load())
		}
	})
}

func TestConnectWaitsOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	a, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := a.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	// Port 1 of the loopback address: nothing listens there.
	o := bus.Options{URL: "nats://127.0.0.1:1", Creds: creds, Log: zerolog.Nop()}
	if _, err := bus.Connect(t.Context(), o); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without Wait: %v, want a refusal at once", err)
	}
	lines, log := newLog()
	o.Wait, o.Log = true, log
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := bus.Connect(ctx, o)
		done <- err
	}()
	lines.wait(t, `"attempt":2`)
	cancel()
	if err := receive(t, done, "end of Connect"); !errors.Is(err, context.Canceled) {
		t.Errorf("with Wait: %v, want %v", err, context.Canceled)
	}
}
