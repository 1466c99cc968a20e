package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/store"
)

// TestExcerpts: an expression is of RE2, and its anchors are those of lines.
func TestExcerpts(t *testing.T) {
	t.Parallel()
	text := "src/x.c:1:10: fatal error: ffi.h: No such file\ncompilation terminated.\n"
	for pattern, want := range map[string]bool{
		`ffi\.h`: true, `^compilation`: true, `No such file$`: true, `FFI`: false, `(?i)FFI`: true, `file.compilation`: false,
	} {
		match, err := excerpts(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := match(t.Context(), store.FailedBuild{Excerpt: text}); got != want || err != nil {
			t.Errorf("%s: %v, %v", pattern, got, err)
		}
	}
}

// TestParseSince reads durations and days, and nothing that is yet to come.
func TestParseSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "36h": now.Add(-36 * time.Hour), "2026-01-31": time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), "1h30m": now.Add(-90 * time.Minute),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "7d", "2026-13-01", "2026-02-02", "-2h", "2026-01-31T00:00"} {
		if got, err := parseSince(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// TestBars: the largest is full, and what is not zero shows.
func TestBars(t *testing.T) {
	t.Parallel()
	for want, numbers := range map[string][]int64{
		"·▁█": {0, 1, 1000}, "███": {5, 5, 5}, "···": {0, 0, 0}, "▁▂▃▄▅▆▇█": {1, 2, 3, 4, 5, 6, 7, 8}, "▄█": {100, 200},
	} {
		if got := bars(numbers); got != want {
			t.Errorf("%v: %s, want %s", numbers, got, want)
		}
	}
}

// TestQuoted: what stands in the audit trail can be given to a shell again.
func TestQuoted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"lxml": "lxml", "a b": "'a b'", `ffi\.h`: `'ffi\.h'`, "it's": `'it'\''s'`, "": "''"} {
		if got := quoted(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestHowMuch: a change's detail in one line, how many jobs first.
func TestHowMuch(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"2 jobs, 3 left alone, priority backlog": `{"jobs": 2, "priority": "backlog", "by": [{"jobs": 2}], "left": [{"jobs": 1}, {"jobs": 2}]}`,
		"5 jobs, reason: too big":                `{"jobs": 5, "releases": 0, "kept": [{"reason": "too big"}], "lifted": []}`,
		"4 jobs, 1 gone, 3 moved":                `{"jobs": 4, "of": 17, "gone": 1, "moved": {"leased": 1, "built": 2}}`,
		"3 jobs, 1 aborted, 2 versions":          `{"jobs": 3, "aborted": 1, "versions": ["1.0", "2.0"], "wheels": []}`,
		"role monitor":                           `{"role": "monitor"}`,
		"":                                       `{}`,
		`+ timeout 2h0m0s, + reason "slow", + author ada, 2 jobs, 1 kept`: `{"jobs": 2, "kept": 1, "edits": [
			{"before": null, "after": {"package": "numpy", "timeout": 7200000000000, "reason": "slow", "author": "ada"}}]}`,
		`cffi: + jobs 1, + reason "slow", + author ada, numpy <2: - jobs 2, + jobs 1, 2 jobs`: `{"jobs": 2, "edits": [
			{"before": null, "after": {"package": "cffi", "jobs": 1, "reason": "slow", "author": "ada"}},
			{"before": {"package": "numpy", "versions": "<2", "jobs": 2, "reason": "slow", "author": "ada"},
			"after": {"package": "numpy", "versions": "<2", "jobs": 1, "reason": "slow", "author": "ada"}}]}`,
		"12 recipes changed, 7 jobs": `{"jobs": 7, "edits": 12}`,
		"9 jobs, no more: 1.0 2.0 on cp311-linux_armv7l: hangs; old": `{"jobs": 9, "lifted": [
			{"version": "1.0", "target": "cp311-linux_armv7l", "reason": "hangs"}, {"reason": "old"},
			{"version": "2.0", "target": "cp311-linux_armv7l", "reason": "hangs"}]}`,
	} {
		var n store.Note
		if err := json.Unmarshal([]byte(text), &n.Detail); err != nil {
			t.Fatal(err)
		}
		if got := howMuch(n); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestHistoryNames: a line of the trail says what a skip or an abort was about.
func TestHistoryNames(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"skip lxml 4.1 on cp39-linux_armv7l: 1 job, reason: big": `{"action": "skip", "subject": "lxml", "detail": {"jobs": 1,
			"kept": [{"package": "lxml", "version": "4.1", "target": "cp39-linux_armv7l", "reason": "big"}]}}`,
		"skip lxml 4.1 4.2 (undone by 9): reason: big": `{"action": "skip", "subject": "lxml", "undone_by": 9, "detail": {
			"kept": [{"version": "4.1", "reason": "big"}, {"version": "4.2", "reason": "big"}]}}`,
		"skip lxml 4 versions: reason: big": `{"action": "skip", "subject": "lxml", "detail": {"kept": [{"version": "1", "reason": "big"},
			{"version": "2", "reason": "big"}, {"version": "3", "reason": "big"}, {"version": "4", "reason": "big"}]}}`,
		"abort pi-01: lxml 4.1 on cp39-linux_armv7l": `{"action": "abort", "subject": "pi-01",
			"detail": {"job": 64, "package": "lxml", "version": "4.1", "target": "cp39-linux_armv7l"}}`,
	} {
		var n store.Note
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		printHistory(&out, []store.Note{n})
		if !strings.HasSuffix(out.String(), "  "+want+"\n") {
			t.Errorf("%s, want %q", out.String(), want)
		}
	}
}
