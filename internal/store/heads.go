package store

import (
	"math"
	"sync"
	"time"
)

// queuePlace is a place in the queue of one target.
type queuePlace struct {
	priority int16
	rank     int64
	id       int64
}

// queueStart is before every job.
func queueStart() queuePlace { return queuePlace{math.MinInt16, math.MinInt64, math.MinInt64} }

// headLife is how long a head is believed: what was queued before it without a
// notification that we heard is found after this time at the latest.
const headLife = 30 * time.Second

// heads remembers, per target, the place of the last claim. The entries before
// it are dead but stay in the index until vacuum, and as long as any snapshot is
// older than they are (a backup, a long report); walking over them is what makes
// claims slow. It is a guess that may be wrong at any time: whoever finds
// nothing behind a head looks from the start.
type heads struct {
	mu   sync.Mutex
	last map[int64]head
	age  int64 // how often all was forgotten
}

// head is the place from which a claim starts.
type head struct {
	place queuePlace
	known bool // not the start
	until time.Time
	age   int64
}

// get gives the place to start from.
func (h *heads) get(target int64) head {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, ok := h.last[target]; ok && time.Now().Before(last.until) {
		return last
	}
	return head{place: queueStart(), until: time.Now().Add(headLife), age: h.age}
}

// moved notes a claim that started at from. A head keeps its end while it moves,
// so that it is forgotten at times however busy the queue is. A claim that began
// before something was queued says nothing of what is first now.
func (h *heads) moved(target int64, from head, at queuePlace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if from.age != h.age {
		return
	}
	if h.last == nil {
		h.last = map[int64]head{}
	}
	h.last[target] = head{place: at, known: true, until: from.until, age: h.age}
}

// forget is called when something was queued: it may stand before every head.
func (h *heads) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = nil
	h.age++
}
