package collect

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// TestHonestReportsAreKept: what a slave of ours writes comes through unchanged.
func TestHonestReportsAreKept(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	file, _ := makeWheel(t, "demo", "1.0", "")
	r := built(farm.Lease{Token: "t", Job: 7}, file, []byte("log"))
	r.Excerpt = "x.c:1: error: ü\n\tnext line"
	r.Failure = farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev"}
	r.Record = farm.Record{Seconds: 12.5, PeakRSS: 1 << 30, Started: at, Ended: at.Add(12 * time.Second),
		Sandbox: "bwrap", PythonVer: "3.11.2", PipVer: "23.0.1", Compiler: "gcc 12.2.0", OS: "Debian GNU/Linux 12 (bookworm)"}
	if diff := cmp.Diff(r, believable(r)); diff != "" {
		t.Errorf("(-sent +kept)\n%s", diff)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                              "",
		" a\r\n\tb \x00c ":              "a b c",
		"\x1b[31mred\x1b[0m":            "red",
		"a\xffb":                        "a\uFFFDb",
		"right \u202eto left":           "right to left",
		strings.Repeat("x", maxLine+1):  strings.Repeat("x", maxLine),
		"x" + strings.Repeat("ü", 1000): "x" + strings.Repeat("ü", (maxLine-1)/2),
	} {
		if got := line(in); got != want {
			t.Errorf("%.40q is %.40q, want %.40q", in, got, want)
		}
	}
}

func FuzzBelievable(f *testing.F) {
	f.Add("missing-header", "ffi.h", "excerpt", "log", "sha", int64(1), 1.5, int64(1<<20), int64(0))
	f.Add("rejected", "\x00\xff", "\x1b[2J\u202e", "../log", strings.Repeat("a", 64), int64(-1), math.NaN(), int64(-5), int64(1)<<60)
	f.Fuzz(func(t *testing.T, cause, detail, excerpt, log, sha string, size int64, seconds float64, rss, at int64) {
		r := believable(bus.Report{
			Failure: farm.Failure{Cause: farm.Cause(cause), Detail: detail, Hint: detail}, Excerpt: excerpt,
			Log:    farm.File{Name: log, SHA256: sha, Size: size},
			Record: farm.Record{Seconds: seconds, PeakRSS: rss, Started: time.Unix(at, 0), OS: detail, Compiler: excerpt},
		})
		body, err := json.Marshal(r)
		if err != nil || strings.Contains(string(body), `\u0000`) {
			t.Fatalf("a row cannot hold %s, %v", body, err)
		}
		if c := r.Failure.Cause; !c.Valid() || c == farm.Rejected || c == farm.SlaveLost {
			t.Errorf("cause %q", c)
		}
		if len(r.Excerpt) > bus.MaxExcerpt || !utf8.ValidString(r.Excerpt) || len(r.Failure.Detail) > maxLine || len(r.Record.OS) > maxLine {
			t.Errorf("texts of %d, %d, %d bytes", len(r.Excerpt), len(r.Failure.Detail), len(r.Record.OS))
		}
		if r.Record.PeakRSS < 0 || !(r.Record.Seconds >= 0 && r.Record.Seconds <= maxLength) {
			t.Errorf("record %+v", r.Record)
		}
		if r.Log.SHA256 != "" && unsound(r.Log, MaxLog) != nil {
			t.Errorf("log %+v", r.Log)
		}
	})
}
