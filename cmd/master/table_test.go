package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestTable: columns are as wide as what is in them; where the terminal has no room,
// the last one goes on below itself, and the widest of the others is cut.
func TestTable(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"7", "a-name-of-a-package-that-is-long", "why it is so, in some words"}, {"1,234", "b", ""}}
	for wide, want := range map[int]string{
		0: `
    N  NAME                              WHY
    7  a-name-of-a-package-that-is-long  why it is so, in some words
1,234  b
`,
		60: `
    N  NAME                              WHY
    7  a-name-of-a-package-that-is-long  why it is so, in
                                         some words
1,234  b
`,
		44: `
    N  NAME                 WHY
    7  a-name-of-a-packag…  why it is so, in
                            some words
1,234  b
`,
	} {
		var out strings.Builder
		teller{out: &out, wide: wide}.table(columns(">N", "NAME", "WHY"), rows)
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
			t.Errorf("%d columns:\n%s", wide, diff)
		}
	}
}

// manyTargets are so many, from cp39 on.
func manyTargets(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("cp3%d-linux_armv7l", 9+i))
	}
	return list
}

// TestManyTargetsFit: on a terminal of 80 columns nothing that is said of eight targets
// is cut off.
func TestManyTargetsFit(t *testing.T) {
	t.Parallel()
	targets := manyTargets(8)
	var out strings.Builder
	tell := teller{out: &out, wide: 80, now: time.Unix(1e9, 0)}
	a := whyAnswer{Package: "demo", Releases: []whyRelease{{Version: "1.0"}}}
	g := store.FailureGroup{Cause: farm.MissingHeader, Detail: "ffi.h", Targets: map[string]int64{}, Days: make([]int64, 14), Jobs: 8_000_000}
	jobs := map[string]map[string]int64{}
	var unserved []store.Unserved
	for _, name := range targets {
		a.Releases[0].Targets = append(a.Releases[0].Targets, whyTarget{Target: name, State: farm.Failed, Cause: string(farm.BuildRequirement)})
		g.Targets[name] = 1_000_000
		jobs[name] = map[string]int64{}
		for _, s := range farm.States() {
			jobs[name][string(s)] = 123_456
		}
		unserved = append(unserved, store.Unserved{Target: name, Jobs: 3})
	}
	a.printReleases(tell)
	tell.group(g, 9_000_000)
	tell.jobs(jobs)
	tell.unserved(unserved)
	said := out.String()
	for line := range strings.Lines(said) {
		if length(strings.TrimSpace(line)) > 80 || strings.Contains(line, "…") {
			t.Errorf("does not fit: %s", line)
		}
	}
	if n := strings.Count(said, "build-requirement"); n != len(targets) {
		t.Errorf("%d of %d targets are told of", n, len(targets))
	}
	for _, want := range []string{"24 jobs on cp39, cp310", "1,000,000 on cp316", "987,648"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in\n%s", want, said)
		}
	}
	if testing.Verbose() {
		t.Log(said)
	}
}
