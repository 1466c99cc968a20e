package collect

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// TestForeignTokens: a token counts for the slave and the job that it was given
// for, and what it cannot count for is forgotten.
func TestForeignTokens(t *testing.T) {
	t.Parallel()
	file, _ := makeWheel(t, "demo", "1.0", "")
	cases := []struct {
		name   string
		slave  string
		change func(*bus.Report)
	}{
		{"another slave's token", "b", func(*bus.Report) {}},
		{"a token that nobody has", "a", func(r *bus.Report) { r.Token = "guess" }},
		{"no token", "a", func(r *bus.Report) { r.Token = "" }},
		{"a token that is SQL", "a", func(r *bus.Report) { r.Token = "' or 1=1 --" }},
		{"another job's number", "a", func(r *bus.Report) { r.Job++ }},
	}
	for _, c := range cases {
		for _, outcome := range []farm.Outcome{farm.OutcomeBuilt, farm.OutcomeFailed} {
			t.Run(c.name+", "+string(outcome), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				r := built(w.lease(), file, nil)
				r.Outcome = outcome
				c.change(&r)
				w.wantAccepted(w.Report(t.Context(), c.slave, r), "no such lease")
				w.wantState(farm.Leased, "")
				w.wantNoWheel()
			})
		}
	}
}

func TestWhoMayReport(t *testing.T) {
	t.Parallel()
	file, content := makeWheel(t, "demo", "1.0", "")
	w := newWorld(t)
	report := built(w.lease(), file, nil)
	if reply := w.Report(t.Context(), "stranger", report); reply.Accepted || !strings.Contains(reply.Error, "stranger") {
		t.Errorf("a stranger hears %+v", reply)
	}
	w.Exec(`update slaves set revoked_at = now() where name = 'a'`)
	if reply := w.bring("a", report, content); reply.Accepted || !strings.Contains(reply.Error, "revoked") {
		t.Errorf("a revoked slave hears %+v", reply)
	}
	w.wantState(farm.Leased, "")
	w.wantNoWheel()
}

// TestLateReports is what becomes of a report whose lease was lost.
func TestLateReports(t *testing.T) {
	t.Parallel()
	file, content := makeWheel(t, "demo", "1.0", "")
	retake := func(w *world) { w.expire(); w.claim("b", "1") }
	cases := []struct {
		name   string
		setup  func(*world)
		good   bool
		reason string
		state  farm.State
		cause  farm.Cause
		aborts []string
	}{
		{"success, nobody has it now", (*world).expire, true, "", farm.Built, "", nil},
		{"success, another has it now", retake, true, "", farm.Built, "", []string{"b b-1"}},
		{"success, the same slave has it again", func(w *world) { w.expire(); w.claim("a", "2") }, true, "", farm.Built, "", []string{"a a-2"}},
		{"success, given up as lost", func(w *world) {
			w.Exec(`update jobs set losses = 99`)
			w.expire()
		}, true, "", farm.Built, "", nil},
		{"success, another has failed", func(w *world) {
			retake(w)
			w.bring("b", failed(farm.Lease{Token: "b-1", Job: w.Job("demo").ID}, farm.Failure{Cause: farm.Prompt}, nil))
		}, true, "not current", farm.Failed, farm.Prompt, nil},
		{"failure, nobody has it now", (*world).expire, false, "not current", farm.Queued, "", nil},
		{"failure, another has it now", retake, false, "not current", farm.Leased, "", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lease := w.lease()
			c.setup(w)
			report := failed(lease, farm.Failure{Cause: farm.CompilerError}, nil)
			if c.good {
				report = built(lease, file, nil)
			}
			w.wantAccepted(w.bring("a", report, content), c.reason)
			w.wantJob(c.state, c.cause)
			w.wantAccepted(w.Report(t.Context(), "a", report), "reported before")
			if diff := cmp.Diff(c.aborts, w.aborts); diff != "" {
				t.Errorf("aborted (-want +got)\n%s", diff)
			}
		})
	}
}

// TestTwoBringTheSame: of two good wheels for one job one is published, and both
// slaves may forget theirs.
func TestTwoBringTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, oneContent := makeWheel(t, "demo", "1.0", "one")
	two, twoContent := makeWheel(t, "demo", "1.0", "two")
	first := built(w.lease(), one, nil)
	w.expire()
	second := built(w.claim("b", "1"), two, nil)
	w.wantAccepted(w.bring("b", second, twoContent), "")
	w.wantAccepted(w.bring("a", first, oneContent), "not current")
	w.wantState(farm.Built, "")
	w.wantWheel(two)
}

// TestSameReportAtOnce: repeats that cross each other count once.
func TestSameReportAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, content := makeWheel(t, "demo", "1.0", "")
	report := built(w.lease(), file, nil)
	for _, need := range w.Report(t.Context(), "a", report).Need {
		w.wantStatus(http.StatusCreated, w.put(need, content))
	}
	const times = 8
	replies := make(chan bus.ReportReply, times)
	for range times {
		go func() { replies <- w.Report(t.Context(), "a", report) }()
	}
	for range times {
		if r := <-replies; !r.Accepted || strings.Contains(r.Reason, "rejected") {
			t.Errorf("one hears %+v", r)
		}
	}
	w.wantState(farm.Built, "")
	w.wantWheel(file)
	if len(w.events) != 1 {
		t.Errorf("events: %v", w.events)
	}
}

// TestNameOfOtherBytes: a published name is for ever.
func TestNameOfOtherBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, content := makeWheel(t, "demo", "1.0", "")
	w.Exec(`insert into published_names (filename, sha256, size) values ($1, repeat('c', 64), 5)`, file.Name)
	w.wantAccepted(w.bring("a", built(w.lease(), file, nil), content), "was published before")
	w.wantState(farm.Failed, farm.Rejected)
}
