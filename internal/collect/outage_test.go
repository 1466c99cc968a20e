package collect

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

// TestCommitFails: accepted means that it is in the database, not that it was
// sent there.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	file, content := makeWheel(t, "demo", "1.0", "")
	for _, good := range []bool{true, false} {
		w := newWorld(t)
		lease := w.lease()
		report := failed(lease, farm.Failure{Cause: farm.CompilerError}, nil)
		want, cause := farm.Failed, farm.CompilerError
		if good {
			report, want, cause = built(lease, file, nil), farm.Built, ""
		}
		w.Exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'at the commit'; end $$`)
		w.Exec(`create constraint trigger refuse after update on jobs deferrable initially deferred for each row execute function refuse()`)
		for range 2 {
			if reply := w.bring("a", report, content); reply.Accepted || !strings.Contains(reply.Error, "at the commit") {
				t.Errorf("nothing was committed, and the answer is %+v", reply)
			}
			w.wantState(farm.Leased, "")
		}
		if len(w.events) != 0 {
			t.Errorf("told: %v", w.events)
		}
		w.Exec(`drop trigger refuse on jobs`)
		w.wantAccepted(w.bring("a", report, content), "")
		w.wantState(want, cause)
	}
}

// TestDatabaseAway: at every step a report is refused and can be made again.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	file, content := makeWheel(t, "demo", "1.0", "")
	w := newWorld(t)
	report := built(w.lease(), file, nil)
	away := func() {
		back := w.Absent()
		defer back()
		if reply := w.Report(t.Context(), "a", report); reply.Accepted || reply.Error == "" || len(reply.Need) != 0 {
			t.Errorf("without a database the answer is %+v", reply)
		}
	}
	away()
	need := w.Report(t.Context(), "a", report).Need
	away()
	w.wantStatus(http.StatusCreated, w.put(need[0], content))
	away()
	w.wantAccepted(w.Report(t.Context(), "a", report), "")
	away()
	w.wantAccepted(w.Report(t.Context(), "a", report), "reported before")
	w.wantState(farm.Built, "")
}

// TestDamagedInTheDepot: bytes that are no longer those of their name are asked
// for again, and nobody is blamed.
func TestDamagedInTheDepot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, content := makeWheel(t, "demo", "1.0", "")
	report := built(w.lease(), file, nil)
	w.wantStatus(http.StatusCreated, w.put(w.Report(t.Context(), "a", report).Need[0], content))
	path, err := w.local.Path(file.SHA256)
	w.Must(err)
	spoiled := append([]byte{}, content...)
	spoiled[len(spoiled)/2] ^= 1
	w.Must(os.WriteFile(path, spoiled, 0o644))
	reply := w.Report(t.Context(), "a", report)
	if reply.Accepted || len(reply.Need) != 1 || reply.Need[0].SHA256 != file.SHA256 {
		t.Fatalf("the answer is %+v, want the wheel asked for again", reply)
	}
	w.wantAccepted(w.bring("a", report, content), "")
	w.wantWheel(file)
}

// TestFileGoesAway: between two reports somebody cleans the depot.
func TestFileGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, content := makeWheel(t, "demo", "1.0", "")
	report := built(w.lease(), file, nil)
	need := w.Report(t.Context(), "a", report).Need
	w.wantStatus(http.StatusCreated, w.put(need[0], content))
	w.Must(w.local.Remove(file.SHA256))
	w.wantAccepted(w.bring("a", report, content), "")
}

// TestCovered: the wheel of a lower target has the name already.
func TestCovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, content := makeWheel(t, "demo", "1.0", "")
	w.wantAccepted(w.bring("a", built(w.lease(), file, nil), content), "")
	next := farm.Target{ABI: "cp313", Platform: "linux_armv7l"}
	w.Must(w.Store.AddTarget(t.Context(), next, farm.Facts{}, "test"))
	storetest.Release(t, w.Store, "demo", next, store.ReleaseFacts{Version: "1.0", Raw: "1.0"})
	slave, err := w.Store.Slave(t.Context(), "b")
	w.Must(err)
	targets, err := w.Store.Targets(t.Context())
	w.Must(err)
	lease, _, err := w.Store.Claim(t.Context(), store.ClaimRequest{Slave: slave.ID, Request: "r", Token: "second", Targets: []int64{targets[1].ID}, Length: time.Minute})
	w.Must(err)
	again, againContent := makeWheel(t, "demo", "1.0", "built once more")
	w.wantAccepted(w.bring("b", built(lease, again, nil), againContent), "")
	w.wantWheel(file)
	if got := w.events[1]; got != "covered demo "+again.Name {
		t.Errorf("told: %s", got)
	}
}
