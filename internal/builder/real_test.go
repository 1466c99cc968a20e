package builder

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
)

// realPackage is a row of testdata/real_packages.tsv: what plain pip once made of a
// project of the real index.
type realPackage struct{ name, version, outcome, wheel, notes string }

// realPackages are the rows from..to of the file, "1-10"; the first is 1.
func realPackages(t *testing.T, rows string) []realPackage {
	t.Helper()
	var from, to int
	if _, err := fmt.Sscanf(rows, "%d-%d", &from, &to); err != nil {
		t.Fatalf("PINWHEEL_REAL_PACKAGES=%q: want the first and the last row, as 1-10", rows)
	}
	f, err := os.Open("testdata/real_packages.tsv")
	must(t, err)
	defer f.Close()
	var list []realPackage
	lines := bufio.NewScanner(f)
	lines.Scan() // the head
	for n := 1; lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), "\t")
		if n >= from && n <= to {
			list = append(list, realPackage{fields[0], fields[1], fields[3], fields[5], fields[10]})
		}
	}
	must(t, lines.Err())
	return list
}

// TestRealPackages builds projects of the real index, and says what differs from
// what the file tells. It is not part of the suite: it takes ten minutes and the
// index.
func TestRealPackages(t *testing.T) {
	rows := os.Getenv("PINWHEEL_REAL_PACKAGES")
	if rows == "" {
		t.Skip("PINWHEEL_REAL_PACKAGES is not set: `make real` sets it")
	}
	py, err := findPython()
	must(t, err)
	index, err := pip.Upstream(t.Context(), py)
	must(t, err)
	for _, p := range realPackages(t, rows) {
		t.Run(p.name+"=="+p.version, func(t *testing.T) { p.try(t, index) })
	}
}

func (p realPackage) try(t *testing.T, index string) {
	b := newBuild(t, Bwrap, p.name, index)
	b.Version = p.version
	b.Limits = farm.Limits{Timeout: 200 * time.Second, LogLimit: 10 << 20, Memory: 4 << 30}
	if _, err := pep.ParseVersion(p.version); err != nil {
		t.Logf("refused before it is built: %v", err)
		return
	}
	r := build(t, b)
	got, wheel := "fail", ""
	if r.Outcome == farm.OutcomeBuilt {
		got, wheel = "ok", filepath.Base(r.Wheels[0])
	}
	t.Logf("%s %s %s %s (%s); %.1f s, peak %s", got, wheel, r.Failure.Cause, r.Failure.Detail, r.Failure.Hint, r.Record.Seconds, amount(r.Record.PeakRSS))
	if got != p.outcome {
		t.Errorf("%s, the file says %s %s\n%s", got, p.outcome, p.notes, r.Excerpt)
	} else if wheel != p.wheel {
		t.Errorf("%s, the file says %s", wheel, p.wheel)
	}
}
