package collect

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/wheeltest"
)

func TestBuilt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, content := makeWheel(t, "demo", "1.0", "")
	log := []byte("gcc: it works\n")
	report := built(w.lease(), file, log)
	first := w.Report(t.Context(), "a", report)
	if first.Accepted || len(first.Need) != 2 {
		t.Fatalf("asked for %+v, want log and wheel", first.Need)
	}
	w.wantState(farm.Leased, "")
	w.wantAccepted(w.bring("a", report, content, log), "")
	w.wantState(farm.Built, "")
	w.wantAccepted(w.Report(t.Context(), "a", report), "reported before")
	w.wantWheel(file)
	if diff := cmp.Diff([]string{"built demo " + file.Name}, w.events); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	builds, err := w.Store.BuildsOf(t.Context(), report.Job)
	w.Must(err)
	if b := builds[0]; len(builds) != 1 || b.Outcome != "built" || b.LogSHA256 != sum(log) || b.LogSize != int64(len(log)) || b.Seconds != 1.5 {
		t.Errorf("builds: %+v", builds)
	}
}

// wantWheel wants demo's page to have this file and no other.
func (w *world) wantWheel(f farm.File) {
	w.t.Helper()
	page, err := w.Store.Page(w.t.Context(), "demo")
	w.Must(err)
	if len(page.Wheels) != 1 {
		w.t.Fatalf("%d wheels are published, want one", len(page.Wheels))
	}
	got := page.Wheels[0]
	if got.Filename != f.Name || got.SHA256 != f.SHA256 || got.Size != f.Size || got.RequiresPython != ">=3.7" ||
		got.MetadataSHA256 != sum(got.Metadata) || cmp.Diff([]string{"py3-none-any"}, got.Tags) != "" {
		w.t.Errorf("published is %+v", got)
	}
}

// wantNoWheel wants nothing published, nor a name used up.
func (w *world) wantNoWheel() {
	w.t.Helper()
	names, err := w.Store.PublishedNames(w.t.Context())
	w.Must(err)
	if len(names) != 0 {
		w.t.Errorf("published: %+v", names)
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := []byte("x.c:1:10: fatal error: ffi.h: No such file or directory\n")
	why := farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev"}
	report := failed(w.lease(), why, log)
	report.Excerpt = string(log)
	w.wantAccepted(w.bring("a", report, log), "")
	w.wantState(farm.Failed, farm.MissingHeader)
	w.wantAccepted(w.Report(t.Context(), "a", report), "reported before")
	if j := w.Job("demo"); j.Detail != why.Detail || j.Hint != why.Hint {
		t.Errorf("the job says %q, %q", j.Detail, j.Hint)
	}
	builds, err := w.Store.BuildsOf(t.Context(), report.Job)
	w.Must(err)
	if b := builds[0]; b.Outcome != "failed" || b.Excerpt != string(log) || b.LogSHA256 != sum(log) || b.Cause != string(why.Cause) {
		t.Errorf("the build says %+v", b)
	}
	if diff := cmp.Diff([]string{"failed demo missing-header ffi.h"}, w.events); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	w.wantNoWheel()
}

// TestTheMastersRulesHaveTheWord: what a slave read in a log is read anew, what it
// saw is not.
func TestTheMastersRulesHaveTheWord(t *testing.T) {
	t.Parallel()
	rules, err := farm.DefaultRules().With("own", []byte("prompt\tquota of the (\\w+)\t$1\tdelete some\thttps://tracker.example/7\n"))
	if err != nil {
		t.Fatal(err)
	}
	const excerpt = "error: the quota of the moon is used up"
	for _, c := range []struct {
		from farm.Source
		told farm.Failure
		want farm.Failure
	}{
		{farm.FromLog, farm.Failure{Cause: farm.Unknown}, farm.Failure{Cause: farm.Prompt, Detail: "moon", Hint: "delete some; see https://tracker.example/7"}},
		{"", farm.Failure{Cause: farm.BuildBackend, Detail: "quota"}, farm.Failure{Cause: farm.Prompt, Detail: "moon", Hint: "delete some; see https://tracker.example/7"}},
		{farm.FromBuilder, farm.Failure{Cause: farm.LogLimit, Detail: "wrote too much"}, farm.Failure{Cause: farm.LogLimit, Detail: "wrote too much"}},
		{"nonsense", farm.Failure{Cause: farm.LogLimit}, farm.Failure{Cause: farm.LogLimit}},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.Rules = func() *farm.Rules { return rules } })
		r := failed(w.lease(), c.told, nil)
		r.Excerpt, r.Record.CauseFrom = excerpt, c.from
		w.wantAccepted(w.bring("a", r, nil), "")
		if j := w.Job("demo"); (farm.Failure{Cause: farm.Cause(j.Cause), Detail: j.Detail, Hint: j.Hint}) != c.want {
			t.Errorf("from %q, told %+v: the job says %s, %q, %q", c.from, c.told, j.Cause, j.Detail, j.Hint)
		}
	}
}

// TestFaultsAreNoFailures: what is not the package's fault is tried again.
func TestFaultsAreNoFailures(t *testing.T) {
	t.Parallel()
	for _, cause := range []farm.Cause{farm.SlaveFault, farm.UpstreamFault} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.wantAccepted(w.bring("a", failed(w.lease(), farm.Failure{Cause: cause, Detail: "disk"}, nil)), "")
			w.wantState(farm.Queued, "")
			if diff := cmp.Diff([]string{"queued demo " + string(cause) + " disk"}, w.events); diff != "" {
				t.Errorf("events (-want +got)\n%s", diff)
			}
		})
	}
}

// TestWhatIsBelieved is one report each that a slave that is broken, or not ours
// at heart, could send.
func TestWhatIsBelieved(t *testing.T) {
	t.Parallel()
	file, content := makeWheel(t, "demo", "1.0", "")
	other, otherContent := makeWheel(t, "other", "1.0", "")
	newer, newerContent := makeWheel(t, "demo", "1.1", "")
	junk := []byte("PK\x03\x04 this is no wheel")
	named := func(f farm.File, name string) farm.File { f.Name = name; return f }
	success := func(f ...farm.File) func(farm.Lease) bus.Report {
		return func(l farm.Lease) bus.Report {
			r := built(l, farm.File{}, nil)
			r.Wheels = f
			return r
		}
	}
	failure := func(change func(*bus.Report)) func(farm.Lease) bus.Report {
		return func(l farm.Lease) bus.Report {
			r := failed(l, farm.Failure{Cause: farm.CompilerError}, nil)
			change(&r)
			return r
		}
	}
	cases := []struct {
		name   string
		report func(farm.Lease) bus.Report
		reason string
		state  farm.State
		cause  farm.Cause
	}{
		{"good", success(file), "", farm.Built, ""},
		{"no wheel", success(), "0 wheels", farm.Failed, farm.Rejected},
		{"two wheels", success(file, other), "2 wheels", farm.Failed, farm.Rejected},
		{"another package's wheel", success(other), "rejected: ", farm.Failed, farm.Rejected},
		{"another version's wheel", success(newer), "rejected: ", farm.Failed, farm.Rejected},
		{"another package's wheel under our name", success(named(other, file.Name)), "rejected: ", farm.Failed, farm.Rejected},
		{"our wheel under another name", success(named(file, other.Name)), "rejected: ", farm.Failed, farm.Rejected},
		{"another platform's wheel", success(named(file, "demo-1.0-cp311-cp311-win32.whl")), "rejected: ", farm.Failed, farm.Rejected},
		{"no wheel inside", success(named(wheeltest.Described("", junk), file.Name)), "rejected: ", farm.Failed, farm.Rejected},
		{"a name with slashes", success(named(file, "../../demo-1.0-py3-none-any.whl")), "rejected: ", farm.Failed, farm.Rejected},
		{"a name with a NUL", success(named(file, "demo-1.0-py3-none-any.whl\x00")), "rejected: ", farm.Failed, farm.Rejected},
		{"an endless name", success(named(file, "demo-1.0-"+strings.Repeat("x", 100_000)+"-none-any.whl")), "rejected: ", farm.Failed, farm.Rejected},
		{"no name", success(named(file, "")), "rejected: ", farm.Failed, farm.Rejected},
		{"a negative size", success(farm.File{Name: file.Name, SHA256: file.SHA256, Size: -1}), "-1 bytes", farm.Failed, farm.Rejected},
		{"no size", success(farm.File{Name: file.Name, SHA256: file.SHA256}), "0 bytes", farm.Failed, farm.Rejected},
		{"a huge size", success(farm.File{Name: file.Name, SHA256: file.SHA256, Size: math.MaxInt64}), "bytes; want", farm.Failed, farm.Rejected},
		{"no SHA-256", success(farm.File{Name: file.Name, SHA256: "../../etc/passwd", Size: 5}), "not a SHA-256", farm.Failed, farm.Rejected},
		{"a SHA-256 in capitals", success(farm.File{Name: file.Name, SHA256: strings.ToUpper(file.SHA256), Size: file.Size}), "not a SHA-256", farm.Failed, farm.Rejected},

		{"plain failure", failure(func(r *bus.Report) {}), "", farm.Failed, farm.CompilerError},
		{"a cause that is the master's to give", failure(func(r *bus.Report) { r.Failure.Cause = farm.Rejected }), "", farm.Failed, farm.Unknown},
		{"a loss that is the master's to notice", failure(func(r *bus.Report) { r.Failure.Cause = farm.SlaveLost }), "", farm.Failed, farm.Unknown},
		{"a cause that nobody knows", failure(func(r *bus.Report) { r.Failure.Cause = "bored" }), "", farm.Failed, farm.Unknown},
		{"no cause", failure(func(r *bus.Report) { r.Failure.Cause = "" }), "", farm.Failed, farm.Unknown},
		{"a log that is too large", failure(func(r *bus.Report) { r.Log.Size = MaxLog + 1 }), "", farm.Failed, farm.CompilerError},
		{"a log of a negative size", failure(func(r *bus.Report) { r.Log.Size = -1 }), "", farm.Failed, farm.CompilerError},
		{"a log without a SHA-256", failure(func(r *bus.Report) { r.Log.SHA256 = "x" }), "", farm.Failed, farm.CompilerError},
		{"an excerpt that Postgres cannot store", failure(func(r *bus.Report) { r.Excerpt = "a\x00b\xff\xfe" + strings.Repeat("\xff", 5000) }), "", farm.Failed, farm.CompilerError},
		{"a detail that Postgres cannot store", failure(func(r *bus.Report) {
			r.Failure.Detail, r.Failure.Hint = "\x00\xff\x1b[2J", strings.Repeat("ü\n", 5000)
		}), "", farm.Failed, farm.CompilerError},
		{"numbers that JSON cannot say", failure(func(r *bus.Report) {
			r.Record = farm.Record{Seconds: math.NaN(), PeakRSS: math.MinInt64, Started: time.Unix(1<<40, 0), Ended: time.Unix(-1<<40, 0)}
		}), "", farm.Failed, farm.CompilerError},
		{"endless numbers", failure(func(r *bus.Report) { r.Record = farm.Record{Seconds: math.Inf(1), PeakRSS: math.MaxInt64} }), "", farm.Failed, farm.CompilerError},
		{"a record that Postgres cannot store", failure(func(r *bus.Report) {
			r.Record = farm.Record{Sandbox: "\x00", OS: "\xff", Compiler: strings.Repeat("g", 1<<20), PipVer: "\u202e", PythonVer: "\n"}
		}), "", farm.Failed, farm.CompilerError},
		{"a failure that brings a wheel", failure(func(r *bus.Report) { r.Wheels = []farm.File{file} }), "", farm.Failed, farm.CompilerError},
		{"an outcome that nobody knows", failure(func(r *bus.Report) { r.Outcome = "glory" }), "", farm.Failed, farm.CompilerError},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			report := c.report(w.lease())
			w.wantAccepted(w.bring("a", report, content, otherContent, newerContent, junk), c.reason)
			w.wantState(c.state, c.cause)
			if c.state != farm.Built {
				w.wantNoWheel()
			}
			w.wantAccepted(w.Report(t.Context(), "a", report), "reported before")
			w.wantText()
		})
	}
}

// wantText wants every text of the build's row to be fit for a terminal.
func (w *world) wantText() {
	w.t.Helper()
	builds, err := w.Store.BuildsOf(w.t.Context(), w.Job("demo").ID)
	w.Must(err)
	for _, b := range builds {
		if len(b.Excerpt) > bus.MaxExcerpt || b.Excerpt != farm.Clean(b.Excerpt) {
			w.t.Errorf("excerpt %q", b.Excerpt)
		}
		for _, s := range []string{b.Detail, b.Hint} {
			if len(s) > maxLine || s != farm.Clean(s) || strings.Contains(s, "\n") || !utf8.ValidString(s) {
				w.t.Errorf("text %q", s)
			}
		}
	}
}

// TestRejectedTellsAll: the findings are kept with the build.
func TestRejectedTellsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, content := makeWheel(t, "other", "2.0", "")
	w.wantAccepted(w.bring("a", built(w.lease(), other, nil), content), "rejected: ")
	if n := w.count(`builds where outcome = 'rejected' and jsonb_array_length(findings) >= 2`); n != 1 {
		t.Errorf("%d rejected builds with their findings", n)
	}
	if j := w.Job("demo"); !strings.Contains(j.Detail, "other") {
		t.Errorf("the job says %q", j.Detail)
	}
}

func (w *world) count(rows string) (n int) {
	w.t.Helper()
	conn := w.Connect()
	defer conn.Close(context.Background())
	w.Must(conn.QueryRow(w.t.Context(), `select count(*) from `+rows).Scan(&n))
	return n
}
