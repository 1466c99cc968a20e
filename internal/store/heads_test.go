package store

import (
	"math"
	"testing"
	"time"
)

// TestOneLooks: a head that is doubted is looked at by one claim, from the start,
// and the others go on behind it; what the look finds is where all go on then.
func TestOneLooks(t *testing.T) {
	t.Parallel()
	target := lane{target: 7}
	at := func(id int64) queuePlace { return queuePlace{priority: 40, id: id} }
	var h heads
	claim := func(from head, id int64) { h.moved(target, from, claimed{place: at(id)}, true) }
	starts := func(what string, from head, id int64) {
		t.Helper()
		want := at(id)
		if id == 0 {
			want = queueStart()
		}
		if from.place != want {
			t.Fatalf("%s starts at %+v, want %+v", what, from.place, want)
		}
	}

	first := h.get(target)
	starts("the first claim", first, 0)
	claim(first, 10)
	starts("the second", h.get(target), 10)

	h.heard("") // something was queued, nobody knows where
	looker := h.get(target)
	slow := h.get(target)
	starts("who looks", looker, 0)
	starts("who comes meanwhile", slow, 10)
	claim(slow, 11)
	starts("the next one", h.get(target), 11)
	late := h.get(target)
	claim(looker, 3)
	starts("after the look", h.get(target), 3)
	claim(late, 12)
	starts("after a claim that began before the look ended", h.get(target), 3)

	// What is queued during a look may stand before what it finds.
	h.heard("")
	looker = h.get(target)
	h.heard("")
	claim(looker, 5)
	starts("the second look", h.get(target), 0)
}

// TestDearLooks: where looking takes long, it is done by one at a time, and seldom.
func TestDearLooks(t *testing.T) {
	t.Parallel()
	target := lane{target: 7}
	var h heads
	claim := func(from head) { h.moved(target, from, claimed{place: queuePlace{id: 9}}, true) }
	claim(h.get(target))
	look := func(long time.Duration) {
		t.Helper()
		from, ok := h.look(target)
		if !ok {
			t.Fatal("nobody may look")
		}
		from.began = from.began.Add(-long)
		claim(from)
	}
	look(time.Millisecond)
	look(time.Minute)
	look(time.Minute) // without notifications nothing else would tell
	h.listen(true)
	if _, ok := h.look(target); ok {
		t.Error("a look of a minute is done again at once, though nothing was heard")
	}
	h.heard("")
	if from := h.get(target); !from.known {
		t.Error("a look of a minute is done again at once for a claim that has a place to start from")
	}
	look(time.Minute) // who has none looks all the same
	h.heard("")
	l := h.looks[target]
	l.rest = time.Now()
	h.setLook(target, l)
	if from := h.get(target); !from.looks {
		t.Error("after its rest nobody looks, though something was heard")
	}
	if _, ok := h.look(target); ok {
		t.Error("two look at once")
	}
}

// TestForemost: what a target probably has is what was found there last, until something is heard
// of, and nothing while a claim has just found nothing.
func TestForemost(t *testing.T) {
	t.Parallel()
	in := lane{target: 7}
	var h heads
	want := func(what string, want int16) {
		t.Helper()
		if got := h.foremost(7, 1); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	want("nobody has looked", math.MinInt16)
	from := h.get(in)
	h.moved(in, from, claimed{place: queuePlace{priority: 10, id: 1}}, true)
	h.tried(7, 1, from, true)
	want("an operator's job was found", 10)
	h.tried(7, 1, h.get(in), false)
	want("nothing was found", math.MaxInt16)
	if got := h.foremost(7, 2); got != 10 {
		t.Errorf("nothing was found for another slave: %d, want 10", got)
	}
	h.heard("8/10/0/5")
	want("something is queued elsewhere", math.MaxInt16)
	h.heard("7/40/0/5")
	want("something is queued", 10)
	from = h.get(in)
	h.heard("7/20/0/6")
	h.tried(7, 1, from, false)
	want("something was queued while nothing was found", 10)
	h.tried(7, 1, h.get(in), false)
	h.heard("")
	want("something is queued, nobody knows where", 10)
}
