package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"pinwheel/internal/store"
)

// ago says how long something is past, as far as people care.
func (t teller) ago(at time.Time) string { return span(t.now.Sub(at)) + " ago" }

// upstream tells how the farm stands to the upstream.
func (t teller) upstream(st store.UpstreamStatus) {
	t.following(st.Following)
	for _, r := range st.Reading {
		t.line("to read: %s %s", projects(r.Count), map[string]string{
			"event": "that changed", "walk": "of a walk", "aged": "not read for long",
		}[r.Urgency]+t.detail(r))
	}
	for _, p := range st.Troubled {
		again := "again in " + span(time.Duration(p.Again)*time.Second)
		if p.Now {
			again = "asked for just now"
		}
		t.wrapped("%s, %s, %s: %s", p.Package, counted(int64(p.Tries), "try", "tries"), again,
			strings.Replace(p.Trouble, "read project "+p.Package+": ", "", 1))
	}
	left := int64(0)
	for _, r := range st.Reading {
		if r.Urgency == "walk" {
			left = r.Count
		}
	}
	for _, w := range st.Walks {
		t.walk(w, left)
	}
	for i, f := range st.Faults {
		if i == 0 {
			t.line("faults of the upstream:")
		}
		t.wrapped("%s %s, last %s: %s", grouped(f.Count), f.Kind, t.ago(f.Last), dash(f.Detail))
	}
}

func (t teller) following(f store.Following) {
	switch f.Source {
	case "":
		t.line("follows: nothing yet; it begins with the first `serve` that is to follow")
	case store.SourceNone:
		t.line("follows: no event source: only packages named by hand are followed")
	case store.SourceSerials:
		t.line("follows: the serials in the list of names, for want of a changelog")
	default:
		t.line("follows: the upstream's changelog")
	}
	if f.Serial > 0 {
		moved := ""
		if f.Moved != nil {
			moved = ", which moved " + t.ago(*f.Moved)
		}
		t.line("  at serial %d%s", f.Serial, moved)
	}
	if f.Asked != nil {
		t.line("  the upstream answered %s", t.ago(*f.Asked))
	}
	if f.Trouble != "" && !strings.HasPrefix(f.Trouble, "no event source") { // that is said above
		t.wrapped("trouble: %s", f.Trouble)
	}
}

// detail says what makes projects wait.
func (t teller) detail(r store.ReadingStatus) string {
	text := ""
	if r.Troubled > 0 {
		text += ", " + grouped(r.Troubled) + " could not be read yet"
	}
	if r.Oldest > 0 {
		text += ", the first since " + span(time.Duration(r.Oldest)*time.Second)
	}
	return text
}

// walk tells of one under way how far it is, of one that has ended what it found.
// Left is what all walks have left to be read.
func (t teller) walk(w store.Walk, left int64) {
	name, since := walkName(w.Kind), span(t.now.Sub(w.Began))
	switch {
	case w.Kind == store.KindPlan && w.Ended == nil:
		t.line("plan, for %s: %s of %s decided on anew", since, grouped(w.Chosen), projects(w.Total))
	case w.Kind == store.KindPlan:
		return // nothing came of it that people must know
	case w.Ended != nil && w.Listed == nil && w.Trouble == "":
		// Either it is what it was, or the changelog answered before there was one.
		t.line("last %s, ended %s: there was no new list of names", name, t.ago(*w.Ended))
	case w.Ended != nil && w.Listed == nil:
		t.line("last %s, ended %s: no list of names", name, t.ago(*w.Ended))
	case w.Ended != nil:
		t.line("last %s, ended %s: %s listed, %s to be read", name, t.ago(*w.Ended), projects(w.Total), grouped(w.Chosen))
	case w.Listed == nil && w.Trouble != "":
		t.line("%s, for %s: waits for the list of names", name, since)
	case w.Listed == nil:
		t.line("%s, for %s: reads the list of names", name, since)
	default:
		t.line("%s, for %s: %s of %s read, of %s listed", name, since,
			grouped(max(0, w.Chosen-left)), grouped(w.Chosen), projects(w.Total))
	}
	if w.Trouble != "" {
		t.wrapped("trouble: %s", w.Trouble)
	}
}

// walkName is what people call a kind of walk.
func walkName(kind string) string {
	switch kind {
	case "gap":
		return "walk in place of the changelog"
	case "nightly":
		return "nightly walk"
	}
	return kind
}

func projects(n int64) string { return counted(n, "project", "projects") }

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped writes a number so that people see how large it is: 886,324.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// span writes a duration by its two largest units: 3 d 4 h, 12 min, 7 s.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	day := 24 * time.Hour
	switch {
	case d >= day:
		return two(int(d/day), "d", int(d%day/time.Hour), "h")
	case d >= time.Hour:
		return two(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	case d >= time.Minute:
		return two(int(d/time.Minute), "min", int(d%time.Minute/time.Second), "s")
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

func two(a int, large string, b int, small string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, large)
	}
	return fmt.Sprintf("%d %s %d %s", a, large, b, small)
}
