package dispatch

import (
	"strings"
	"testing"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// TestWhatIsKnownMayBeWrong: a slave that has got a job is asked for nothing when it
// wants the next one; what was changed meanwhile counts all the same.
func TestWhatIsKnownMayBeWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world)
		want   string // in the refusal; "" is no lease and no refusal
	}{
		"paused":  {func(w *world) { w.Must(w.Store.PauseSlave(t.Context(), "a", "", "test")) }, ""},
		"revoked": {func(w *world) { w.Exec(`update slaves set revoked_at = now() where name = 'a'`) }, "revoked"},
		"retired": {func(w *world) { w.Exec(`update targets set active = false`) }, "none of the targets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.poll = 1
			w.lease("a", "one")
			w.lease("a", "two")
			if _, ok := w.known.get("a"); !ok {
				t.Fatal("a slave with work is not known")
			}
			w.Queue("three", young())
			c.change(w)
			reply := w.Next(t.Context(), "a", bus.Next{Request: "three", Targets: []farm.Target{young()}})
			if reply.Lease != nil || (reply.Error == "") != (c.want == "") || !strings.Contains(reply.Error, c.want) {
				t.Errorf("lease %+v, refusal %q, want none, %q", reply.Lease, reply.Error, c.want)
			}
			if _, ok := w.known.get("a"); ok {
				t.Error("who got nothing is known still")
			}
		})
	}
}

// TestHelloIsANewAcquaintance: another machine may come under the name.
func TestHelloIsANewAcquaintance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lease("a", "one")
	w.hello("a")
	if _, ok := w.known.get("a"); ok {
		t.Error("a slave that said hello is known by what it was")
	}
}
