package collect

import (
	"fmt"
	"strings"
	"testing"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/wheeltest"
)

// TestALogInItsReport is kept without being asked for, whatever became of the build.
func TestALogInItsReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := []byte("x.c:1:10: fatal error: ffi.h: No such file or directory\n")
	report := failed(w.lease(), farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h"}, log)
	report.LogData = log
	w.wantAccepted(w.Report(t.Context(), "a", report), "")
	w.wantState(farm.Failed, farm.MissingHeader)
	w.wantStored(log)
	w.wantNoLeftovers()
}

// TestALogInAReportOfAWheel: only the wheel is asked for.
func TestALogInAReportOfAWheel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := []byte("building\n")
	file, content := makeWheel(t, "demo", "1.0", "")
	report := built(w.lease(), file, log)
	report.LogData = log
	if need := w.Report(t.Context(), "a", report).Need; len(need) != 1 || need[0].SHA256 != file.SHA256 {
		t.Errorf("asked for %+v", need)
	}
	w.wantStored() // nothing is decided yet
	w.wantAccepted(w.bring("a", report, content), "")
	w.wantState(farm.Built, "")
	w.wantStored(log, content)
}

// TestALogThatIsAnotherOne: what came in the report is not what it says, and is asked
// for; without a lease nothing of it is kept.
func TestALogThatIsAnotherOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := []byte("a log\n")
	report := failed(w.lease(), farm.Failure{Cause: farm.CompilerError}, log)
	for _, other := range []string{"a LOG\n", "a log", "a log\nand more"} {
		report.LogData = []byte(other)
		if reply := w.Report(t.Context(), "a", report); len(reply.Need) != 1 || reply.Accepted || reply.Error != "" {
			t.Errorf("with %q the answer is %+v", other, reply)
		}
	}
	w.wantStored()
	nobodys := report
	nobodys.Token, nobodys.LogData = "another", log
	w.wantAccepted(w.Report(t.Context(), "a", nobodys), "no such lease")
	w.wantStored()
	w.wantNoLeftovers()
	w.wantAccepted(w.bring("a", report, log), "")
	w.wantStored(log)
}

// TestOnlyWhatCountsKeepsItsLog: a slave that reports one lease over and over, with
// another log each time, fills no depot: nothing is kept of what is not decided, comes too
// late, was reported before, or belongs to another build.
func TestOnlyWhatCountsKeepsItsLog(t *testing.T) {
	t.Parallel()
	file, content := makeWheel(t, "demo", "1.0", "")
	_, other := makeWheel(t, "demo", "1.0", "other")
	log := func(r bus.Report, text string) bus.Report {
		r.Log, r.LogData = wheeltest.Described("log", []byte(text)), []byte(text)
		return r
	}
	for what, c := range map[string]struct {
		spoil  func(w *world)
		report func(l farm.Lease) bus.Report
		stored [][]byte
	}{
		"a wheel that never comes":     {report: func(l farm.Lease) bus.Report { return built(l, file, nil) }},
		"a lease that was lost":        {spoil: (*world).expire, report: failure},
		"a lease that another one has": {spoil: func(w *world) { w.expire(); w.claim("b", "1") }, report: failure},
		"a late wheel that is none": {
			spoil: (*world).expire,
			report: func(l farm.Lease) bus.Report {
				return built(l, farm.File{Name: "demo-2.0-py3-none-any.whl", SHA256: sum(other), Size: int64(len(other))}, nil)
			},
			stored: [][]byte{other},
		},
		"a build that has ended": {
			spoil: func(w *world) {
				w.wantAccepted(w.Report(w.t.Context(), "a", log(failure(leaseOf(w)), "the first")), "")
			},
			report: failure,
			stored: [][]byte{[]byte("the first")},
		},
		"a success when there is one": {
			spoil: func(w *world) {
				w.expire()
				w.wantAccepted(w.bring("b", built(w.claim("b", "1"), file, nil), content), "")
			},
			report: func(l farm.Lease) bus.Report { return built(l, file, nil) },
			stored: [][]byte{content},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lease := w.lease()
			if c.spoil != nil {
				c.spoil(w)
			}
			for _, text := range []string{"one", "two", "three"} {
				if reply := w.bring("a", log(c.report(lease), text), other); reply.Error != "" {
					t.Errorf("%+v", reply)
				}
			}
			w.wantStored(c.stored...)
			w.wantNoLeftovers()
			if wrong, err := w.Store.Contradictions(t.Context()); err != nil || len(wrong) > 0 {
				t.Errorf("%v, %v", wrong, err)
			}
		})
	}
}

func failure(l farm.Lease) bus.Report { return failed(l, farm.Failure{Cause: farm.CompilerError}, nil) }

// leaseOf is the lease that world.lease gave.
func leaseOf(w *world) farm.Lease { return farm.Lease{Token: "a-1", Job: w.Job("demo").ID} }

// TestALeaseNamesFewFiles: a slave that names other files each time it reports is refused
// at last, and what it named before is still taken.
func TestALeaseNamesFewFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lease := w.lease()
	report := func(i int) (bus.Report, []byte) {
		file, content := makeWheel(t, "demo", "1.0", fmt.Sprint(i))
		return built(lease, file, nil), content
	}
	for i := range 3 * maxNamed {
		r, _ := report(i)
		reply := w.Report(t.Context(), "a", r)
		if asked := len(reply.Need) == 1 && reply.Error == ""; asked != (i < maxNamed) || !asked && !strings.Contains(reply.Error, "named 8 files") {
			t.Errorf("file %d: %+v", i, reply)
		}
	}
	r, content := report(0)
	w.wantAccepted(w.bring("a", r, content), "")
	w.wantState(farm.Built, "")
	if n := len(w.named.files); n != 0 {
		t.Errorf("%d leases are remembered that have ended", n)
	}
	var n named
	for i := range 3 * maxLeases {
		if err := n.take(fmt.Sprint(i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if len(n.files) > maxLeases {
		t.Errorf("%d leases are remembered", len(n.files))
	}
}
