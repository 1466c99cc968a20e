package store_test

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// announce puts names on the worklist as events do.
func (w *world) announce(serial int64, names ...string) {
	w.t.Helper()
	var rs []store.Reading
	for _, n := range names {
		rs = append(rs, store.Reading{Name: n, Urgency: farm.UrgencyEvent, Serial: serial, Follow: true})
	}
	_, err := w.Announce(w.t.Context(), rs, serial)
	w.must(err)
}

func (w *world) take(limit int) []store.Reading {
	w.t.Helper()
	rs, err := w.TakeReading(w.t.Context(), limit, time.Minute)
	w.must(err)
	for i := range rs {
		if !rs[i].Taken {
			w.t.Errorf("%s is taken, and does not say so", rs[i].Name)
		}
		rs[i].Taken = false // what tests want is what was on the list
	}
	return rs
}

// listed are the names on the worklist.
func (w *world) listed() []string {
	w.t.Helper()
	tx, commit := w.begin()
	defer commit()
	rows, err := tx.Query(w.t.Context(), `select name from reading order by name`)
	w.must(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.must(err)
	return names
}

func names(rs []store.Reading) []string {
	out := []string{}
	for _, r := range rs {
		out = append(out, r.Name)
	}
	return out
}

// TestAnnounce: of several words on one project the lower urgency, the higher
// serial and the newest word on its end count.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fresh, err := w.Announce(t.Context(), []store.Reading{
		{Name: "demo", Urgency: farm.UrgencyWalk, Serial: 5},
		{Name: "demo", Urgency: farm.UrgencyEvent, Serial: 4, Gone: true, Follow: true},
		{Name: "other", Urgency: farm.UrgencyEvent, Serial: 3, Gone: true},
		{Name: "other", Urgency: farm.UrgencyEvent, Serial: 9},
	}, 9)
	w.must(err)
	if fresh != 2 {
		t.Errorf("%d are new", fresh)
	}
	fresh, err = w.Announce(t.Context(), []store.Reading{
		{Name: "other", Urgency: farm.UrgencyAged, Serial: 2, Follow: true}, {Name: "third", Urgency: farm.UrgencyAged}}, 7)
	w.must(err)
	if fresh != 1 {
		t.Errorf("later %d are new", fresh)
	}
	want := []store.Reading{
		{Name: "demo", Urgency: farm.UrgencyEvent, Serial: 5, Gone: true, Follow: true},
		{Name: "other", Urgency: farm.UrgencyEvent, Serial: 9, Follow: true, Revision: 1},
		{Name: "third", Urgency: farm.UrgencyAged},
	}
	if diff := cmp.Diff(want, w.take(10), cmpopts.IgnoreFields(store.Reading{}, "Since", "Due")); diff != "" {
		t.Error(diff)
	}
	f, err := w.Following(t.Context())
	w.must(err)
	if f.Serial != 9 || f.Moved == nil {
		t.Errorf("the serial is %d, it never goes back", f.Serial)
	}
}

// TestAnnouncedWhileRead: what is announced again while it is read stays on the
// worklist, due at once; what is not goes.
func TestAnnouncedWhileRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.announce(1, "demo", "other")
	taken := w.take(10)
	w.announce(2, "demo")
	_, err := w.Agree(t.Context(), []store.Agreement{w.fresh("demo", "1.0"), w.fresh("other", "1.0")}, taken)
	w.must(err)
	again := w.take(10)
	if diff := cmp.Diff([]string{"demo"}, names(again)); diff != "" {
		t.Fatalf("left:\n%s", diff)
	}
	if again[0].Serial != 2 {
		t.Errorf("at serial %d", again[0].Serial)
	}
	// Nor does what went wrong with the first reading put off the second.
	w.must(w.PutOff(t.Context(), "demo", taken[0].Revision, 1, time.Hour, "old news"))
	w.announce(3, "demo")
	if again := w.take(10); len(again) != 1 || again[0].Trouble != "" {
		t.Errorf("%+v", again)
	}
}

// TestAnnounceMeetsAgree: both at once, over and over: every announced serial is
// agreed on, or still on the worklist.
func TestAnnounceMeetsAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := []string{"aa", "bb", "cc", "dd"}
	w.agree(w.fresh("aa"), w.fresh("bb"), w.fresh("cc"), w.fresh("dd"))
	const last = 100
	done := make(chan struct{})
	go func() {
		defer close(done)
		for serial := int64(8); serial <= last; serial++ {
			rs := []store.Reading{{Name: all[serial%4], Serial: serial}, {Name: all[(serial+2)%4], Serial: serial}}
			if _, err := w.Announce(t.Context(), rs, serial); err != nil {
				t.Error(err)
			}
		}
	}()
	for announcing := true; announcing; {
		select {
		case <-done:
			announcing = false
		default:
		}
		for _, r := range w.take(10) {
			a := change(w.known(r.Name))
			a.Facts.Serial = r.Serial // the upstream's answer is as old as it may be
			_, err := w.Agree(t.Context(), []store.Agreement{a}, []store.Reading{r})
			w.must(err)
		}
	}
	if left := w.listed(); len(left) > 0 {
		t.Errorf("left on the worklist: %v", left)
	}
	want := map[string]int64{}
	for serial := int64(8); serial <= last; serial++ {
		want[all[serial%4]], want[all[(serial+2)%4]] = serial, serial
	}
	for _, name := range all {
		if got := w.known(name).Serial; got != want[name] {
			t.Errorf("%s is at serial %d, want %d", name, got, want[name])
		}
	}
}

func TestTakeReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Announce(t.Context(), []store.Reading{
		{Name: "aged", Urgency: farm.UrgencyAged}, {Name: "walk", Urgency: farm.UrgencyWalk}, {Name: "event", Urgency: farm.UrgencyEvent}}, 1)
	w.must(err)
	if diff := cmp.Diff([]string{"event", "walk"}, names(w.take(2))); diff != "" {
		t.Errorf("the most urgent:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"aged"}, names(w.take(2))); diff != "" {
		t.Errorf("what others read is theirs:\n%s", diff)
	}
	if wait, ok, err := w.NextReading(t.Context()); err != nil || !ok || wait <= 0 || wait > time.Minute {
		t.Errorf("next in %s, %v, %v", wait, ok, err)
	}
	// Whoever took them ended without a word.
	w.must(w.exec(`update reading set not_before = now() - interval '1 second' where name = 'walk'`))
	if wait, ok, err := w.NextReading(t.Context()); err != nil || !ok || wait != 0 {
		t.Errorf("next in %s, %v, %v", wait, ok, err)
	}
	rs := w.take(5)
	if diff := cmp.Diff([]string{"walk"}, names(rs)); diff != "" {
		t.Errorf("after the lease:\n%s", diff)
	}
	w.must(w.PutOff(t.Context(), "walk", rs[0].Revision, 1, time.Hour, "the page does not parse"))
	if rs := w.take(5); len(rs) > 0 {
		t.Errorf("what was put off is due: %+v", rs)
	}
	trouble, err := w.Troubled(t.Context(), 5)
	w.must(err)
	if len(trouble) != 1 || trouble[0].Tries != 1 || trouble[0].Trouble != "the page does not parse" || trouble[0].Due < 50*time.Minute {
		t.Errorf("%+v", trouble)
	}
	w.must(w.exec(`update reading set not_before = now() where name = 'walk'`))
	w.take(5)
	st, err := w.Status(t.Context())
	w.must(err)
	if p := st.Troubled[0]; !p.Now || p.Again != 0 {
		t.Errorf("while it is asked for: %+v", p)
	}
	w.must(w.exec(`update reading set not_before = now() - interval '1 minute' where name = 'walk'`))
	st, err = w.Status(t.Context())
	w.must(err)
	if p := st.Troubled[0]; p.Now {
		t.Errorf("when whoever asked has died: %+v", p)
	}
	w.must(w.exec(`update reading set not_before = now() + interval '1 minute' where name = 'walk'`))
	left, err := w.ReadingLeft(t.Context())
	w.must(err)
	want := []store.ReadingCount{{Urgency: farm.UrgencyEvent, Count: 1}, {Urgency: farm.UrgencyWalk, Count: 1, Troubled: 1}, {Urgency: farm.UrgencyAged, Count: 1}}
	if diff := cmp.Diff(want, left, cmpopts.IgnoreFields(store.ReadingCount{}, "Oldest")); diff != "" {
		t.Error(diff)
	}
	w.must(w.exec(`delete from reading`))
	if _, ok, err := w.NextReading(t.Context()); ok || err != nil {
		t.Errorf("an empty list: %v, %v", ok, err)
	}
	if rs := w.take(5); len(rs) > 0 {
		t.Errorf("taken from an empty list: %+v", rs)
	}
}

// TestAge: the oldest first, each as it is followed, and none that is listed.
func TestAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	byHand := w.fresh("hand")
	byHand.Facts.Followed = false
	w.agree(w.fresh("aa"), w.fresh("bb"), w.fresh("cc"), w.fresh("new"), byHand)
	w.announce(1, "cc")
	w.must(w.exec(`
update packages set read_at = now() - interval '40 days' where name in ('bb', 'cc');
update packages set read_at = now() - interval '35 days' where name = 'aa';
update packages set read_at = null where name = 'hand'`))
	if n, err := w.Age(t.Context(), 30*24*time.Hour, 2); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	want := []store.Reading{{Name: "cc", Urgency: farm.UrgencyEvent, Serial: 1, Follow: true},
		{Name: "bb", Urgency: farm.UrgencyAged, Serial: 7, Follow: true}, {Name: "hand", Urgency: farm.UrgencyAged, Serial: 7}}
	if diff := cmp.Diff(want, w.take(9), cmpopts.IgnoreFields(store.Reading{}, "Since", "Due")); diff != "" {
		t.Error(diff)
	}
	if n, err := w.Age(t.Context(), 30*24*time.Hour, 9); n != 1 || err != nil {
		t.Errorf("then %d, %v; aa is left", n, err)
	}
}

// TestNewNoMore: only what is queued as new though it is old, each once.
func TestNewNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("old", "1.0", "2.0") // of January 2024
	w.add("young", "1.0")
	w.add("other", "1.0")
	w.must(w.exec(`
update jobs set priority = 20 where package_id in (select id from packages where name in ('old', 'young'));
update jobs set rank = -(extract(epoch from timestamptz '2025-01-01') * 1000)::bigint
where package_id = (select id from packages where name = 'young')`))
	names, err := w.NewNoMore(t.Context(), time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), 9)
	if diff := cmp.Diff([]string{"old"}, names); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// TestHasten: what was put off for long is due soon, but for what must wait.
func TestHasten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.announce(1, "away", "twice", "well")
	for name, trouble := range map[string]string{"away": "503", "twice": "404, once more in an hour"} {
		w.must(w.PutOff(t.Context(), name, 0, 1, time.Hour, trouble))
	}
	w.must(w.Hasten(t.Context(), "404, once more in an hour"))
	list, err := w.Troubled(t.Context(), 9)
	w.must(err)
	for _, r := range list {
		if soon := r.Due < time.Minute; soon != (r.Name == "away") {
			t.Errorf("%s is due in %v", r.Name, r.Due)
		}
	}
	if len(list) != 2 {
		t.Errorf("%+v", list)
	}
}

// TestListenHearsReading: an event wakes who reads, and so do names of a walk.
func TestListenHearsReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Listen(ctx, store.ReadingChannel, func(p string) { heard <- p })
	}()
	<-heard // connected
	w.announce(1, "demo")
	<-heard
	w.agree(w.fresh("aged"))
	w.must(w.exec(`update packages set read_at = null`))
	_, err := w.Age(t.Context(), time.Hour, 1)
	w.must(err)
	<-heard
	cancel()
	<-ended
}

// TestReadingByItsIndex: with a whole backfill to be read, and more urgent names put
// off, neither the table nor the whole index is walked over.
func TestReadingByItsIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.exec(`
insert into reading (name, urgency, not_before) select 'off' || n, 10, now() + interval '1 day' from generate_series(1, 20000) n;
insert into reading (name, urgency) select 'p' || n, 30 from generate_series(1, 50000) n;
analyze reading`))
	tx, commit := w.begin()
	defer commit()
	for what, c := range map[string]struct {
		sql  string
		args []any
	}{
		"take, where all are put off": {store.TakeReadingSQL, []any{10, 100, time.Minute}},
		"take":                        {store.TakeReadingSQL, []any{30, 100, time.Minute}},
		"next":                        {store.NextReadingSQL, nil},
	} {
		rows, err := tx.Query(t.Context(), `explain (analyze, buffers, costs off, timing off) `+c.sql, c.args...)
		w.must(err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		w.must(err)
		plan := strings.Join(lines, "\n")
		touched := 0
		for _, m := range regexp.MustCompile(`shared hit=(\d+)`).FindAllStringSubmatch(plan, -1) {
			n, _ := strconv.Atoi(m[1])
			touched = max(touched, n)
		}
		if strings.Contains(plan, "Seq Scan on reading") || touched == 0 || touched > 2000 {
			t.Errorf("%s touches %d pages:\n%s", what, touched, plan)
		}
	}
}

// TestFreeReading: who begins to read gets at once what a reader before had taken,
// also what had gone wrong before; what was put off stays so.
func TestFreeReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Announce(t.Context(), []store.Reading{{Name: "fresh"}, {Name: "troubled"}, {Name: "off"}}, 1)
	w.must(err)
	for _, r := range w.take(3) {
		if r.Name != "fresh" {
			w.must(w.PutOff(t.Context(), r.Name, r.Revision, 1, time.Hour, "it went wrong"))
		}
	}
	w.must(w.exec(`update reading set not_before = now() - interval '1 second' where name = 'troubled'`))
	if diff := cmp.Diff([]string{"troubled"}, names(w.take(3))); diff != "" {
		t.Fatal(diff)
	}
	w.must(w.FreeReading(t.Context()))
	got := names(w.take(3))
	slices.Sort(got)
	if diff := cmp.Diff([]string{"fresh", "troubled"}, got); diff != "" {
		t.Errorf("free are:\n%s", diff)
	}
}

// TestStillToRead: a walk must not end by a count of the moment before it was
// listed, and what went wrong does not keep it.
func TestStillToRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	more := func(u farm.Urgency) bool {
		t.Helper()
		yes, err := w.StillToRead(t.Context(), u)
		w.must(err)
		return yes
	}
	_, err := w.Announce(t.Context(), []store.Reading{{Name: "six", Urgency: farm.UrgencyWalk, Follow: true}}, 0)
	w.must(err)
	if !more(farm.UrgencyWalk) || more(farm.UrgencyEvent) {
		t.Error("the name that was listed is not found at its urgency")
	}
	taken, err := w.TakeReading(t.Context(), 1, time.Minute)
	w.must(err)
	w.must(w.PutOff(t.Context(), "six", taken[0].Revision, 1, time.Hour, "not there"))
	if more(farm.UrgencyWalk) {
		t.Error("what went wrong keeps the walk open")
	}
}
