package ingest

import (
	"fmt"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestPace: of what was announced at once, a first part is taken at once and the
// rest in its time; what a walk found is taken as fast as it can be.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		urgency    farm.Urgency
		atOnce     int
		thenSecond int
	}{
		{farm.UrgencyEvent, eventBurst, eventRate},
		{farm.UrgencyWalk, 1000, 0},
	} {
		t.Run(c.urgency.String(), func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, v7)
			var names []store.Reading
			for i := range 1000 {
				names = append(names, store.Reading{Name: fmt.Sprint("p", i), Urgency: c.urgency, Serial: int64(i + 1)})
			}
			_, err := rig.store.Announce(t.Context(), names, 1000)
			rig.must(err)
			now := time.Now()
			rig.now = func() time.Time { return now }
			r := rig.newReader()
			taken := 0
			takeAll := func() {
				for {
					asked := make(chan int)
					go func() {
						n := 0
						for range r.asks {
							n++
						}
						asked <- n
					}()
					wait, err := r.takeSome(t.Context())
					close(r.asks)
					n := <-asked
					r.asks = make(chan *task)
					for range n {
						<-r.slots
					}
					taken += n
					if rig.must(err); wait > 0 {
						return
					}
				}
			}
			takeAll()
			if taken < c.atOnce || taken > c.atOnce+rig.cfg.Requests {
				t.Errorf("%d are taken at once, want %d", taken, c.atOnce)
			}
			first := taken
			for range 20 {
				now = now.Add(time.Second / 20)
				takeAll()
			}
			if got := taken - first; got < c.thenSecond-rig.cfg.Requests || got > c.thenSecond+rig.cfg.Requests {
				t.Errorf("%d are taken in the next second, want %d", got, c.thenSecond)
			}
		})
	}
}
