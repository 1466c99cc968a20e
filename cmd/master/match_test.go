package main

import (
	"encoding/json"
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
		"12 recipes changed, 7 jobs": `{"jobs": 7, "edits": 12}`,
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
