package collect

import (
	"testing"

	"pinwheel/internal/farm"
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
