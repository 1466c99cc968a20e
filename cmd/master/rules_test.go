package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
)

// TestRuleBook: a running master's rules follow their file, and a broken file
// changes nothing.
func TestRuleBook(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.tsv")
	at := time.Now().Add(-time.Hour)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	write("prompt\tmoon phase\tone\n")
	b, err := openRules(path, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	said := func() int { return strings.Count(log.String(), "\n") }
	want := func(step, detail string, lines int) {
		t.Helper()
		for range 3 {
			if got := b.now().Classify("a moon phase"); got != (farm.Failure{Cause: farm.Prompt, Detail: detail}) {
				t.Errorf("%s: %+v, want %s", step, got, detail)
			}
		}
		if said() != lines {
			t.Errorf("%s: the log has %d lines, want %d:\n%s", step, said(), lines, &log)
		}
	}
	want("as it was", "one", 0)
	write("prompt\tmoon phase\ttwo\n")
	want("changed", "two", 1)
	write("prompt\tmoon (phase\tthree\n")
	want("broken", "two", 2)
	if !strings.Contains(log.String(), path+":1:13: missing closing )") {
		t.Errorf("the log does not name the place:\n%s", &log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want("gone", "two", 3)
	write("prompt\tmoon phase\tfour\n")
	want("back", "four", 4)
	if _, err := openRules(filepath.Join(t.TempDir(), "none"), zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "--rules") {
		t.Errorf("a file that is not there: %v", err)
	}
	if b, err := openRules("", zerolog.Nop()); err != nil || b.now() != farm.DefaultRules() {
		t.Errorf("without a file: %v", err)
	}
}
