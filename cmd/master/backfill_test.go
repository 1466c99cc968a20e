package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestParseNames: good names once each, bad ones with their lines.
func TestParseNames(t *testing.T) {
	t.Parallel()
	text := "\ufeffPure # a comment\r\n\n# nothing\npure\nzope.interface\n-bad\n two words \n"
	got, err := parseNames("f", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"pure", "zope-interface"}, got.names); diff != "" {
		t.Error(diff)
	}
	want := []string{`f:6: "-bad" is not a package name`, `f:7: "two words" is not a package name`}
	if diff := cmp.Diff(want, got.troubles); diff != "" || got.bad != 2 {
		t.Errorf("%d bad\n%s", got.bad, diff)
	}
	if _, err := parseNames("f", strings.NewReader("a\n"+strings.Repeat("x", 5000))); err == nil || !strings.Contains(err.Error(), "f:2: the line is longer") {
		t.Errorf("a long line: %v", err)
	}
	got, err = parseNames("f", strings.NewReader(strings.Repeat("?\n", 50)))
	if err != nil || got.bad != 50 || len(got.troubles) != troublesTold {
		t.Errorf("%d bad, %d told, %v", got.bad, len(got.troubles), err)
	}
}

// TestFillRate: how fast it is, over the last minute, and how long it takes.
func TestFillRate(t *testing.T) {
	t.Parallel()
	var r rate
	start := time.Unix(0, 0)
	s := fillState{begun: true, chosen: 20_000, left: 20_000}
	if got := r.words(s); got != "0 of 20,000 read, 0 queued" {
		t.Error(got)
	}
	for sec := range int64(121) {
		read := sec * 10
		if sec > 60 {
			read = 600 + (sec-60)*100 // it has become faster
		}
		r.note(start.Add(time.Duration(sec)*time.Second), read)
		s.left = s.chosen - read
	}
	s.troubled, s.queued = 3, 54_321
	if got := r.words(s); got != "6,600 of 20,000 read, 100/s, 2 min left, 3 troubled, 54,321 queued" {
		t.Error(got)
	}
	if got := r.bar(s, 70); got != r.words(s) {
		t.Errorf("a bar where there is no room: %s", got)
	}
	s.troubled = 0
	if got := r.bar(s, 79); got != "[###---------] 6,600 of 20,000 read, 100/s, 2 min left, 54,321 queued" {
		t.Error(got)
	}
	if got := new(rate).bar(fillState{begun: true}, 79); got != "[############] 0 of 0 read, 0 queued" {
		t.Error(got)
	}
	if got := r.words(fillState{trouble: "why"}); got != "no list of names: why" {
		t.Error(got)
	}
}

// TestSpan and the other words of people.
func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", 60 * time.Second: "1 min", 3661 * time.Second: "1 h 1 min", 49 * time.Hour: "2 d 1 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 886324: "886,324", -1234567: "-1,234,567", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// TestWrapped: on a terminal the reason at the end is seen.
func TestWrapped(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	text := strings.Repeat("word ", 30) + "reason"
	teller{out: &out, wide: 80}.wrapped("%s", text)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[1], "    word") || !strings.HasSuffix(lines[2], "reason") {
		t.Errorf("%q", lines)
	}
	for _, l := range lines {
		if len(l) > 80 {
			t.Errorf("%d wide: %s", len(l), l)
		}
	}
	out.Reset()
	teller{out: &out}.wrapped("%s", text)
	if got := out.String(); got != "  "+text+"\n" {
		t.Errorf("%q", got)
	}
}
