package bus

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pinwheel/internal/farm"
)

const someSHA = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func target(t testing.TB, s string) farm.Target {
	t.Helper()
	v, err := farm.ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func goodHello(t testing.TB) Hello {
	return Hello{Version: "1.2", Held: []string{"tok"}, Machine: "Pi 4", OS: "Debian", Memory: 1 << 30,
		Targets: []ServedTarget{{Target: target(t, "cp311-linux_armv7l"), Facts: farm.Facts{Python: "3.11.2"}}}}
}

func goodReport() Report {
	return Report{Token: "tok", Job: 7, Outcome: farm.OutcomeBuilt,
		Wheels: []farm.File{{Name: "a-1-py3-none-any.whl", SHA256: someSHA, Size: 5}},
		Log:    farm.File{Name: "log", SHA256: someSHA, Size: 9}}
}

func badHello(t testing.TB, packages ...string) Hello {
	h := goodHello(t)
	h.Packages = packages
	return h
}

// longPackages are few enough, and too long all together.
func longPackages() []string {
	var list []string
	for i := range 2000 {
		list = append(list, fmt.Sprintf("p%0100d", i))
	}
	return list
}

func badLease(r farm.Recipe) NextReply { return NextReply{Lease: &farm.Lease{Recipe: r}} }

func badReport(change func(*Report)) Report {
	r := goodReport()
	change(&r)
	return r
}

func roundTrip[M checked](t *testing.T, m stamped) (M, error) {
	t.Helper()
	data, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return decode[M](data, MaxMessage)
}

func TestMessagesSurviveTheWire(t *testing.T) {
	t.Parallel()
	hello := goodHello(t)
	if got, err := roundTrip[Hello](t, &hello); err != nil || !cmp.Equal(got, hello) {
		t.Errorf("hello: %v %s", err, cmp.Diff(hello, got))
	}
	next := Next{Request: "r1", Targets: []farm.Target{target(t, "cp39-linux_x86_64")}}
	if got, err := roundTrip[Next](t, &next); err != nil || !cmp.Equal(got, next) {
		t.Errorf("next: %v %s", err, cmp.Diff(next, got))
	}
	beat := Beat{Held: []string{"a", "b"}, Doing: "building ü", Load: 1.5, Temperature: 61.2, DiskFree: 1 << 40}
	if got, err := roundTrip[Beat](t, &beat); err != nil || !cmp.Equal(got, beat) {
		t.Errorf("beat: %v %s", err, cmp.Diff(beat, got))
	}
	report := goodReport()
	report.Record = farm.Record{Seconds: 1.5, PeakRSS: 1 << 33, Started: time.Unix(1, 0).UTC(), Ended: time.Unix(9, 5).UTC()}
	if got, err := roundTrip[Report](t, &report); err != nil || !cmp.Equal(got, report) {
		t.Errorf("report: %v %s", err, cmp.Diff(report, got))
	}
}

// What others may have written down of the wire: targets are their strings.
func TestWireForm(t *testing.T) {
	t.Parallel()
	data, err := encode(&Next{Request: "r1", Targets: []farm.Target{target(t, "cp311-linux_armv7l")}, Held: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"protocol":1,"request":"r1","targets":["cp311-linux_armv7l"],"held":[]}`
	if string(data) != want {
		t.Errorf("next is %s, want %s", data, want)
	}
}

func TestChecksRefuse(t *testing.T) {
	t.Parallel()
	many := make([]string, MaxHeld+1)
	for i := range many {
		many[i] = fmt.Sprint("t", i)
	}
	cp311 := []farm.Target{target(t, "cp311-linux_armv7l")}
	for what, m := range map[string]checked{
		"hello without targets":    Hello{Version: "1"},
		"hello with 65 targets":    Hello{Version: "1", Targets: make([]ServedTarget, 65)},
		"hello with empty target":  Hello{Version: "1", Targets: make([]ServedTarget, 1)},
		"hello with memory < 0":    Hello{Version: "1", Memory: -1, Targets: goodHello(t).Targets},
		"hello with long machine":  Hello{Version: "1", Machine: strings.Repeat("x", 2000), Targets: goodHello(t).Targets},
		"hello, packages unsorted": badHello(t, "b", "a"),
		"hello, a package twice":   badHello(t, "a", "a"),
		"hello, a package's path":  badHello(t, "../a"),
		"hello, too many packages": badHello(t, make([]string, MaxPackages+1)...),
		"hello, long packages":     badHello(t, longPackages()...),
		"lease that preloads":      badLease(farm.Recipe{Env: map[string]string{"LD_PRELOAD": "x"}}),
		"lease of another index":   badLease(farm.Recipe{PipOptions: []string{"--index-url=http://x/"}}),
		"lease with a NUL":         badLease(farm.Recipe{Env: map[string]string{"A": "\x00"}}),
		"lease of no memory":       badLease(farm.Recipe{Memory: 1}),
		"lease of another network": badLease(farm.Recipe{Network: "lan"}),
		"record with a NUL":        badReport(func(r *Report) { r.Record.Recipe.From = []string{"\x00"} }),
		"record of many options":   badReport(func(r *Report) { r.Record.Recipe.PipOptions = make([]string, 3000) }),
		"next without request":     Next{Targets: cp311},
		"next with bad target":     Next{Request: "r", Targets: []farm.Target{{ABI: "cp311", Platform: "../x"}}},
		"next holding too many":    Next{Request: "r", Targets: cp311, Held: many},
		"beat with an empty token": Beat{Held: []string{""}},
		"beat with NUL":            Beat{Doing: "a\x00b"},
		"beat with a mad load":     Beat{Load: 1e300},
		"report without job":       badReport(func(r *Report) { r.Job = 0 }),
		"report without token":     badReport(func(r *Report) { r.Token = "" }),
		"report of no outcome":     badReport(func(r *Report) { r.Outcome = "" }),
		"built without wheel":      badReport(func(r *Report) { r.Wheels = nil }),
		"built with cause":         badReport(func(r *Report) { r.Failure.Cause = farm.Timeout }),
		"failed with wheel":        badReport(func(r *Report) { r.Outcome, r.Failure.Cause = farm.OutcomeFailed, farm.Timeout }),
		"failed without cause":     badReport(func(r *Report) { r.Outcome, r.Wheels = farm.OutcomeFailed, nil }),
		"17 wheels":                badReport(func(r *Report) { r.Wheels = make([]farm.File, 17) }),
		"wheel with a path":        badReport(func(r *Report) { r.Wheels[0].Name = "../a.whl" }),
		"wheel with a newline":     badReport(func(r *Report) { r.Wheels[0].Name = "a\n.whl" }),
		"wheel with upper hash":    badReport(func(r *Report) { r.Wheels[0].SHA256 = strings.ToUpper(someSHA) }),
		"wheel of size < 0":        badReport(func(r *Report) { r.Wheels[0].Size = -1 }),
		"wheel of 1 TB":            badReport(func(r *Report) { r.Wheels[0].Size = 1 << 40 }),
		"log with a path":          badReport(func(r *Report) { r.Log.Name = "a/b" }),
		"long log":                 badReport(func(r *Report) { r.LogData = make([]byte, MaxLogInside+1) }),
		"long excerpt":             badReport(func(r *Report) { r.Excerpt = strings.Repeat("x", MaxExcerpt+1) }),
		"excerpt with NUL":         badReport(func(r *Report) { r.Excerpt = "\x00" }),
		"record of time < 0":       badReport(func(r *Report) { r.Record.Seconds = -1 }),
		"sdist without hash":       badReport(func(r *Report) { r.Record.Sdist = farm.Sdist{Filename: "a-1.tar.gz"} }),
		"requirement without hash": badReport(func(r *Report) { r.Record.Requires = []farm.Requirement{{File: "a-1.whl"}} }),
		"host with a NUL":          badReport(func(r *Report) { r.Record.Contacts = []farm.Contact{{Host: "a\x00"}} }),
		"too many hosts":           badReport(func(r *Report) { r.Record.Contacts = make([]farm.Contact, MaxContacts+1) }),
		"too many requirements":    badReport(func(r *Report) { r.Record.Requires = make([]farm.Requirement, MaxRequires+1) }),
		"an unknown order":         Control{Do: "explode"},
		"abort of nothing":         Control{Do: DoAbort},
		"log of job 0":             LogChunk{},
		"log before its start":     LogChunk{Job: 1, Offset: -1},
		"log of 65 kB":             LogChunk{Job: 1, Data: make([]byte, MaxLogChunk+1)},
		"event with a dot":         Event{Kind: "a.b"},
	} {
		if m.check() == nil {
			t.Errorf("%s passes", what)
		}
	}
	for what, m := range map[string]checked{
		"hello": goodHello(t), "report": goodReport(), "quit": Control{Do: DoQuit},
		"hello with packages": badHello(t, "g++", "libc6"),
		"lease with a recipe": badLease(farm.Recipe{Env: map[string]string{"CFLAGS": "-O1"}, Jobs: 1, From: []string{"*"}}),
		// What was applied once is kept, also where it would not be applied now.
		"record of an old recipe": badReport(func(r *Report) { r.Record.Recipe.Env = map[string]string{"LD_PRELOAD": "x"} }),
		"report without log":      badReport(func(r *Report) { r.Log = farm.File{} }),
		"failed":                  Report{Token: "t", Job: 1, Outcome: farm.OutcomeFailed, Failure: farm.Failure{Cause: farm.MissingHeader}},
	} {
		if err := m.check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ data, word string }{
		"nothing":          {"", "not a message"},
		"no JSON":          {"hello", "not a message"},
		"a list":           {"[]", "not a message"},
		"no protocol":      {"{}", "protocol 0"},
		"another protocol": {`{"protocol":2,"request":{"of":"a form to come"}}`, "protocol 2 is not spoken here, 1 is"},
		"wrong types":      {`{"protocol":1,"request":5}`, "not a message"},
		"bad values":       {`{"protocol":1,"request":"r"}`, "targets"},
		"too long":         {strings.Repeat(" ", 5000), "5000 bytes"},
	} {
		_, err := decode[Next]([]byte(c.data), 4000)
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want a word about %q", name, err, c.word)
		}
	}
}

func TestCutText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "s"))
		limit := rapid.IntRange(0, 64).Draw(t, "limit")
		got := CutText(s, limit)
		var c checker
		if c.text("it", got, limit); c.err != nil || !utf8.ValidString(got) {
			t.Fatalf("%q cut to %d gives %q: %v", s, limit, got, c.err)
		}
		if utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasSuffix(s, got) {
			t.Fatalf("%q cut to %d gives %q, which is not its end", s, limit, got)
		}
	})
}

// Whatever a build wrote, its report must be taken.
func TestOutgoingTextIsMadeFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		junk := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4000), func(b []byte) string { return string(b) })
		r := cutReport(Report{Token: "t", Job: 1, Outcome: farm.OutcomeFailed, Excerpt: junk.Draw(t, "excerpt"),
			Failure: farm.Failure{Cause: farm.Unknown, Detail: junk.Draw(t, "detail"), Hint: junk.Draw(t, "hint")},
			Record:  farm.Record{Compiler: junk.Draw(t, "compiler"), Seconds: rapid.Float64Range(0, 1e6).Draw(t, "seconds")}})
		data, err := encode(&r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode[Report](data, exchangeReport().maxBytes); err != nil {
			t.Fatal(err)
		}
	})
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := finite(f); got != 0 {
			t.Errorf("finite(%v) = %v", f, got)
		}
	}
}

// fuzzDecode holds a message to this: what is accepted is accepted again after it
// was encoded, and fits into the same limit twice over.
func fuzzDecode[M checked, P interface {
	*M
	stamped
}](f *testing.F, limit int, seeds ...M) {
	for _, m := range seeds {
		data, err := encode(P(&m))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"protocol":2}`))
	f.Add([]byte(`{"protocol":1,"targets":["-"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode[M](data, limit)
		if err != nil {
			return
		}
		again, err := encode(P(&m))
		if err != nil {
			t.Fatalf("%s was accepted but cannot be encoded: %v", data, err)
		}
		if _, err := decode[M](again, 8*limit+4096); err != nil {
			t.Fatalf("%s was accepted, %s was not: %v", data, again, err)
		}
	})
}

func FuzzHello(f *testing.F) { fuzzDecode(f, exchangeHello().maxBytes, goodHello(f)) }

func FuzzNext(f *testing.F) {
	fuzzDecode(f, exchangeNext().maxBytes, Next{Request: "r", Targets: []farm.Target{target(f, "cp311-linux_armv7l")}})
}

func FuzzBeat(f *testing.F) {
	fuzzDecode(f, exchangeBeat().maxBytes, Beat{Held: []string{"t"}, Load: 1})
}

func FuzzReport(f *testing.F) { fuzzDecode(f, exchangeReport().maxBytes, goodReport()) }

func FuzzControl(f *testing.F) { fuzzDecode(f, maxControl, Control{Do: DoAbort, Token: "t"}) }

func FuzzLogChunk(f *testing.F) { fuzzDecode(f, maxChunk, LogChunk{Job: 1, Data: []byte("gcc")}) }

func FuzzEvent(f *testing.F) { fuzzDecode(f, maxEvent, Event{Kind: "built", Package: "a"}) }

func FuzzReply(f *testing.F) {
	for _, m := range []stamped{&Welcome{HTTP: "http://127.0.0.1"}, &refusal{Error: "no"}, &NextReply{Lease: &farm.Lease{}}} {
		data, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeReply[NextReply](data)
		if err == nil && (m.Error != "" || m.Protocol != Protocol || !json.Valid(data)) {
			t.Errorf("%s is taken as an answer", data)
		}
	})
}
