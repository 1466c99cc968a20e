package store

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// lane is a part of the queue that has an order of its own: the jobs of a target
// that need the same of a slave.
type lane struct {
	target int64
	needs  string // kind.key; "" : nothing
}

// queuePlace is a place in a lane.
type queuePlace struct {
	priority int16
	rank     int64
	id       int64
}

// queueStart is before every job.
func queueStart() queuePlace { return queuePlace{math.MinInt16, math.MinInt64, math.MinInt64} }

// before says whether p comes first.
func (p queuePlace) before(q queuePlace) bool {
	if p.priority != q.priority {
		return p.priority < q.priority
	}
	if p.rank != q.rank {
		return p.rank < q.rank
	}
	return p.id < q.id
}

// headLife is how long a head is believed: what was queued before it without a
// notification that we heard is found after this time at the latest, or after the
// rest that looking for it needs.
const headLife = 30 * time.Second

// A look from the start that takes longer than cheapLook is done by one claim at a
// time, with a rest of lookShare times as long after it.
const (
	cheapLook = 10 * time.Millisecond
	lookShare = 20
)

// heads remembers, per lane, the place of the last claim. The entries before
// it are dead but stay in the index until vacuum, and as long as any snapshot is
// older than they are (a backup, a long report); walking over them is what makes
// claims slow. Or they are jobs of projects that have no room for another lease,
// which it remembers too. It is a guess that may be wrong at any time. When it is
// doubted, one claim looks from the start, and the others go on behind it meanwhile:
// with a snapshot of ten minutes a look takes a second, and if all of them looked,
// nobody would get a job for that long.
type heads struct {
	mu     sync.Mutex
	last   map[lane]head
	looks  map[lane]look
	hears  bool              // notifications come in
	clock  int64             // grows with all that is heard of the queue
	all    int64             // when something was queued, nobody knows where
	queued map[int64]int64   // when something was queued on this target
	needy  int64             // when something was queued that may need something of a slave
	bare   map[lookedAt]bare // where a claim found nothing
}

// lookedAt is a target, for one slave: what one may not have, as one that is paused, others may.
type lookedAt struct{ target, slave int64 }

// bare is when a claim found nothing.
type bare struct {
	clock int64
	until time.Time // it is believed so long
}

// head is the place from which a claim starts.
type head struct {
	place  queuePlace
	passed []int64 // projects that had no room when it passed jobs of theirs
	known  bool    // not the start

	clock int64     // when it was asked for
	looks bool      // it is the start, and the others go on behind what is known
	began time.Time // of a look
}

// look is how it stands with looking from the start.
type look struct {
	until time.Time // the head is believed so long
	doubt bool      // something may have been queued before it
	busy  bool      // a claim looks now
	dear  bool      // the last one took long
	rest  time.Time // none looks before
}

// get gives the place to start from.
func (h *heads) get(in lane) head {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, known := h.last[in]
	if !known {
		last.place = queueStart()
	}
	l, now := h.looks[in], time.Now()
	if known && (l.doubt || now.After(l.until)) && !l.busy && !now.Before(l.rest) {
		last = h.begin(in, l, now)
	}
	last.clock = h.clock
	return last
}

// peek is the place that a claim would start from, if it did not look.
func (h *heads) peek(in lane) head {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, known := h.last[in]
	if !known {
		last.place = queueStart()
	}
	return last
}

// foremost is the priority of what a slave's claim would probably find on a target: of the last one
// that was found, if nothing better was heard of since. What nobody has looked at yet comes first, and
// last where there was nothing for this slave a moment ago.
func (h *heads) foremost(target, slave int64) int16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b, ok := h.bare[lookedAt{target, slave}]; ok && b.clock >= max(h.all, h.queued[target]) && time.Now().Before(b.until) {
		return math.MaxInt16
	}
	last, known := h.last[lane{target: target}]
	if !known {
		return math.MinInt16
	}
	return last.place.priority
}

// tried notes whether a slave's claim that started at from found something on a target.
func (h *heads) tried(target, slave int64, from head, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found {
		delete(h.bare, lookedAt{target, slave})
		return
	}
	if h.bare == nil {
		h.bare = map[lookedAt]bare{}
	}
	h.bare[lookedAt{target, slave}] = bare{clock: from.clock, until: time.Now().Add(headLife)}
}

// look gives the start to a claim that found nothing behind its place; false: it
// takes long, was done a moment ago, and nothing was heard since.
func (h *heads) look(in lane) (head, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, now := h.looks[in], time.Now()
	if h.hears && !l.doubt && l.dear && (l.busy || now.Before(l.rest)) {
		return head{}, false
	}
	start := h.begin(in, l, now)
	start.clock = h.clock
	return start, true
}

func (h *heads) begin(in lane, l look, now time.Time) head {
	l.busy, l.doubt = true, false
	h.setLook(in, l)
	return head{place: queueStart(), looks: true, began: now}
}

func (h *heads) setLook(in lane, l look) {
	if h.looks == nil {
		h.looks = map[lane]look{}
	}
	h.looks[in] = l
}

// moved notes a claim that started at from; found says whether it got a job. A claim
// that began before something was queued says nothing of what is first now.
func (h *heads) moved(in lane, from head, at claimed, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := from.clock < max(h.all, h.queued[in.target])
	if from.looks {
		h.looked(in, from, old)
	}
	if old || !found {
		return
	}
	if h.last == nil {
		h.last = map[lane]head{}
	}
	last, known := h.last[in]
	if !known {
		l := h.looks[in]
		l.until = time.Now().Add(headLife)
		h.setLook(in, l)
	}
	if from.looks {
		// Whoever began before goes on behind the former head, and must not lead the
		// others back there.
		h.clock++
		h.outdate(in.target)
		last = head{}
	}
	h.last[in] = last.after(from, at)
}

// looked ends a look. An old one is to be done again.
func (h *heads) looked(in lane, from head, old bool) {
	now := time.Now()
	took := now.Sub(from.began)
	l := h.looks[in]
	l.busy, l.doubt, l.until = false, l.doubt || old, now.Add(headLife)
	l.dear, l.rest = took > cheapLook, now
	if l.dear {
		l.rest = now.Add(lookShare * took)
	}
	h.setLook(in, l)
}

// after is the head after a claim that started at from; last is what other
// claims made of it meanwhile.
func (last head) after(from head, at claimed) head {
	passed := map[int64]bool{}
	for _, p := range last.passed {
		passed[p] = true
	}
	next := head{place: at.place, known: true}
	switch {
	case at.back && at.place.before(from.place):
		// It took what had been passed over; the rest of that still stands there.
		next.place = from.place
		if last.known {
			next.place = last.place
		}
	case at.back: // whoever has room now has nothing there
		for _, p := range from.passed {
			delete(passed, p)
		}
	}
	for _, p := range at.full {
		passed[p] = true
	}
	next.passed = slices.Collect(maps.Keys(passed))
	return next
}

// heard takes a notification: places where something was queued, as queuedAt
// writes them, or anything else, which says that it may be anywhere.
func (h *heads) heard(payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	places, needy, ok := parsePlaces(payload)
	if needy || !ok {
		h.needy = h.clock
	}
	if !ok {
		h.queued, h.all = nil, h.clock
		for in := range h.last {
			l := h.looks[in]
			l.doubt = true
			h.setLook(in, l)
		}
		return
	}
	for target := range places {
		h.outdate(target)
	}
	for in, last := range h.last { // its lane is not told: to go back too far does no harm
		if place, ok := places[in.target]; ok && place.before(last.place) {
			last.place = place
			h.last[in] = last
		}
	}
}

// outdate keeps that what is first on a target is not what earlier claims saw.
func (h *heads) outdate(target int64) {
	if h.queued == nil {
		h.queued = map[int64]int64{}
	}
	h.queued[target] = h.clock
}

// listen says whether notifications come in from now on.
func (h *heads) listen(hears bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hears = hears
}

// now is the time by what was heard of.
func (h *heads) now() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

// tick makes it later.
func (h *heads) tick() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	return h.clock
}

// needyAt is when something was queued that may need something of a slave.
func (h *heads) needyAt() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.needy
}

// queuedAt is an aggregate over rows of jobs that were queued: the payload of a
// notification. Where it would be long, it says no place.
const queuedAt = `case when count(*) > 50 then '' else
    string_agg(concat_ws('/', target_id, priority, rank, id, case when ` + needy + ` then 'needy' end), ' ') end`

// needyMark is at the end of a place of what needs something of a slave; programs
// of before it read over it.
const needyMark = "/needy"

// parsePlaces reads a notification: the first place of each target, and whether
// something is named that needs something of a slave.
func parsePlaces(payload string) (first map[int64]queuePlace, needy, ok bool) {
	first = map[int64]queuePlace{}
	for word := range strings.FieldsSeq(payload) {
		var target int64
		var p queuePlace
		if _, err := fmt.Sscanf(word, "%d/%d/%d/%d", &target, &p.priority, &p.rank, &p.id); err != nil {
			return nil, false, false
		}
		needy = needy || strings.HasSuffix(word, needyMark)
		if have, ok := first[target]; !ok || p.before(have) {
			first[target] = p
		}
	}
	return first, needy, len(first) > 0
}
