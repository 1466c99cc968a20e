package farmtest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
)

// actor is a slave that is played.
type actor struct {
	*fleet
	*bus.SlaveEnd
	beats *time.Ticker
}

func (f *fleet) actor(name string) *actor {
	f.t.Helper()
	creds, key, err := f.wire.Authority.Enroll(name, farm.RoleSlave)
	f.Must(err)
	f.Must(f.Store.EnrollSlave(f.t.Context(), name, farm.RoleSlave, key, "test"))
	a := &actor{fleet: f, SlaveEnd: f.wire.Connect(f.t, name, creds).Slave(name), beats: time.NewTicker(fleetLease / 10)}
	f.t.Cleanup(a.beats.Stop)
	_, err = a.Hello(f.t.Context(), bus.Hello{Version: "test", Memory: 1 << 30,
		Targets: []bus.ServedTarget{{Target: fleetTarget(), Facts: farm.Facts{Python: "3.11.2"}}}})
	f.Must(err)
	return a
}

// ask asks until there is a job, the farm pauses it, or ctx ends.
func (a *actor) ask(ctx context.Context, request string) (farm.Lease, bool) {
	for ctx.Err() == nil {
		reply, err := a.Next(ctx, bus.Next{Request: request, Targets: []farm.Target{fleetTarget()}})
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.t.Errorf("%s asks: %v", a.Name(), err)
			return farm.Lease{}, false
		case reply.Lease != nil:
			a.mu.Lock()
			defer a.mu.Unlock()
			a.took[a.Name()] = append(a.took[a.Name()], reply.Lease.Package)
			return *reply.Lease, true
		}
		if b := a.beat(ctx); b.Paused {
			return farm.Lease{}, false
		}
	}
	return farm.Lease{}, false
}

func (a *actor) beat(ctx context.Context, held ...string) bus.BeatReply {
	b, err := a.Beat(ctx, bus.Beat{Held: held, Doing: "playing"})
	if err != nil && ctx.Err() == nil {
		a.t.Errorf("%s beats: %v", a.Name(), err)
	}
	return b
}

// work does one job after another as do says, until there is none for it any more.
func (a *actor) work(ctx context.Context, do func(ctx context.Context, l farm.Lease)) {
	for i := 0; ; i++ {
		l, ok := a.ask(ctx, fmt.Sprint(a.Name(), "-", i))
		if !ok {
			return
		}
		do(ctx, l)
	}
}

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (a *actor) good(l farm.Lease) (bus.Report, []byte) {
	name, content := farmtest.Wheel(a.t, l.Package, l.Version, "py3-none-any", []byte("by = '"+a.Name()+"'\n"))
	return a.built(l, name, content), content
}

func (a *actor) built(l farm.Lease, name string, content []byte) bus.Report {
	return bus.Report{Token: l.Token, Job: l.Job, Outcome: farm.OutcomeBuilt,
		Wheels: []farm.File{{Name: name, SHA256: digest(content), Size: int64(len(content))}},
		Record: farm.Record{Seconds: 1, Started: time.Now(), Ended: time.Now(), Sandbox: "bwrap"}}
}

func failed(l farm.Lease, cause farm.Cause, detail string) bus.Report {
	return bus.Report{Token: l.Token, Job: l.Job, Outcome: farm.OutcomeFailed, Failure: farm.Failure{Cause: cause, Detail: detail}}
}

// deliver reports, sends what is asked for, and reports again; it returns what the
// master says in the end.
func (a *actor) deliver(ctx context.Context, r bus.Report, content []byte) string {
	ctx = context.WithoutCancel(ctx) // the last job has ended before its slave hears of it
	for range 3 {
		reply, err := a.Report(ctx, r)
		if err != nil {
			a.t.Errorf("%s reports: %v", a.Name(), err)
			return ""
		}
		if reply.Accepted {
			return reply.Reason
		}
		for _, need := range reply.Need {
			a.upload(ctx, need, content)
		}
	}
	a.t.Errorf("%s: the master asks for the same again and again", a.Name())
	return ""
}

func (a *actor) upload(ctx context.Context, need bus.Need, content []byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, need.URL, bytes.NewReader(content))
	if err != nil {
		a.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+need.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Error(err)
		return
	}
	resp.Body.Close()
}

// ok builds.
func (a *actor) ok(ctx context.Context, l farm.Lease) {
	r, content := a.good(l)
	if why := a.deliver(ctx, r, content); why != "" {
		a.t.Errorf("%s: the wheel of %s did not count: %s", a.Name(), l.Package, why)
	}
}

// slow builds for longer than a lease lives, and says all the time that it does.
func (a *actor) slow(ctx context.Context, l farm.Lease) {
	select {
	case a.leaked <- l:
		defer func() {
			select {
			case <-a.told:
			case <-ctx.Done():
			}
		}()
	default:
	}
	for range 12 {
		<-a.beats.C
		if b := a.beat(ctx, l.Token); len(b.Abort) > 0 {
			a.t.Errorf("slow is told to abort %s", l.Package)
		}
	}
	a.ok(ctx, l)
}

// repeater says everything again and again, also at once.
func (a *actor) repeater(ctx context.Context, l farm.Lease) {
	r, content := a.good(l)
	a.deliver(ctx, r, content)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if why := a.deliver(ctx, r, content); why != "reported before" {
				a.t.Errorf("repeater: %q", why)
			}
		})
	}
	all.Wait()
}

// asksTwice is how the repeater asks.
func (a *actor) asksTwice(ctx context.Context, request string) {
	first, ok := a.ask(ctx, request)
	if !ok {
		return
	}
	again, _ := a.ask(ctx, request)
	if first.Token != again.Token {
		a.t.Errorf("one request has two leases: %s %s", first.Package, again.Package)
	}
	a.repeater(ctx, first)
}

// clockless lives in another time.
func (a *actor) clockless(ctx context.Context, l farm.Lease) {
	r, content := a.good(l)
	r.Record.Started, r.Record.Ended = time.Unix(0, 0), time.Unix(0, 0).AddDate(200, 0, 0)
	r.Record.Seconds = 1e8
	a.deliver(ctx, r, content)
}

// liar brings what is no wheel, or another's, and ends what it does not hold.
func (a *actor) liar(ctx context.Context, stolen farm.Lease) {
	for i := range 4 {
		l, ok := a.ask(ctx, fmt.Sprint("lie-", i))
		if !ok {
			a.t.Error("liar gets no job")
			return
		}
		for _, lie := range []bus.Report{
			failed(stolen, farm.CompilerError, "made up"),
			failed(farm.Lease{Token: "made-up", Job: stolen.Job}, farm.CompilerError, "made up"),
			failed(farm.Lease{Token: l.Token, Job: stolen.Job}, farm.CompilerError, "another's job"),
		} {
			if why := a.deliver(ctx, lie, nil); why != "no such lease" {
				a.t.Errorf("liar: a lie came to %q", why)
			}
		}
		name, content := farmtest.Wheel(a.t, l.Package, l.Version, "py3-none-any", []byte("x = 1\n"))
		switch i {
		case 0:
			content = []byte("no wheel at all")
		case 1: // another's name
			name, content = farmtest.Wheel(a.t, stolen.Package, "1.0", "py3-none-any", []byte("x = 1\n"))
		case 2: // the right name, and another's inside
			_, content = farmtest.Wheel(a.t, stolen.Package, "1.0", "py3-none-any", []byte("x = 1\n"))
		case 3: // cut short
			content = content[:len(content)/2]
		}
		if why := a.deliver(ctx, a.built(l, name, content), content); !strings.HasPrefix(why, "rejected: ") {
			a.t.Errorf("liar: lie %d came to %q", i, why)
		}
	}
}
