package chaostest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

// A judge that finds nothing proves nothing: these break what it looks at.

var target = farm.Target{ABI: "cp311", Platform: "linux_armv7l"}

// builtOnce is a farm with one job, demo 1.0, that a slave has built.
func builtOnce(t *testing.T) (*storetest.DB, *pgx.Conn) {
	t.Helper()
	d := storetest.New(t, target)
	d.Queue("demo", target)
	slave, err := d.Store.Slave(t.Context(), "a")
	d.Must(err)
	targets, err := d.Store.Targets(t.Context())
	d.Must(err)
	claim := store.ClaimRequest{Slave: slave.ID, Request: "r", Token: "t", Targets: []int64{targets[0].ID}, Length: time.Minute}
	if _, ok, err := d.Store.Claim(t.Context(), claim); err != nil || !ok {
		t.Fatalf("claimed: %v, %v", ok, err)
	}
	sum := strings.Repeat("a", 64)
	_, err = d.Store.FinishBuilt(t.Context(), store.Ending{Slave: slave.ID, Token: "t"}, store.NewWheel{
		File: farm.File{Name: "demo-1.0-py3-none-any.whl", SHA256: sum, Size: 7}, MetadataSHA256: sum, Metadata: []byte("x"), Tags: []string{"py3-none-any"},
	})
	d.Must(err)
	db := d.Connect()
	t.Cleanup(func() { db.Close(t.Context()) })
	return d, db
}

func TestJudgeReadsTheLedger(t *testing.T) {
	t.Parallel()
	const again = `insert into builds (job_id, slave_id, token, request, ended_at, outcome)
		select job_id, slave_id, 'x', 'x', now(), 'built' from builds`
	for damage, want := range map[string]string{
		``: "",
		`update builds set outcome = null, ended_at = null`: "of demo 1.0 has no outcome",
		again:                              "demo 1.0 is built, with 2 good builds",
		`delete from wheels`:               "demo 1.0 is built, with 0 wheels",
		`update jobs set state = 'queued'`: "demo 1.0 is queued, with 1 good builds",
		`update builds set outcome = 'superseded'; update jobs set state = 'failed', cause = 'unknown'`: "demo 1.0 has failed, and no build did",
		`update builds set outcome = 'superseded'; delete from wheels`:                                  "demo 1.0 is built, with 0 good builds",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			d, db := builtOnce(t)
			d.Exec(damage)
			lines, err := ledger(t.Context(), db)
			d.Must(err)
			if got := strings.Join(lines, "\n"); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("the judge says %q, want %q", got, want)
			}
		})
	}
}

// TestJudgeWaits for what is not done yet, and holds jobs to the index.
func TestJudgeWaits(t *testing.T) {
	t.Parallel()
	d, db := builtOnce(t)
	state := func(versions ...string) pypitest.State {
		p := pypitest.ProjectState{Name: "demo"}
		for _, v := range versions {
			p.Releases = append(p.Releases, pypitest.ReleaseState{Version: v})
		}
		return pypitest.State{Projects: map[string]pypitest.ProjectState{"demo": p}}
	}
	check := func(index pypitest.State, want string) {
		t.Helper()
		open, err := quiet(t.Context(), db, index)
		d.Must(err)
		if got := strings.Join(open, "\n"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("still open: %q, want %q", got, want)
		}
	}
	check(state("1.0"), "")
	check(state("1.0", "2.0"), "no job for demo 2.0")
	check(state(), "a job for demo 1.0, which was removed")
	d.Queue("other", target)
	check(state("1.0"), "other 1.0, is queued")
	d.Exec(`insert into reading (name, urgency) values ('later', 0)`)
	check(state("1.0"), "to be read: later")
	s := serials{highest: 5}
	if err := s.look(t.Context(), db); err != nil || len(s.errs) != 1 {
		t.Errorf("a serial that went back: %v, %v", s.errs, err)
	}
}

func TestJudgeOfFailures(t *testing.T) {
	t.Parallel()
	kinds := map[[2]string]pypitest.Kind{{"fails", "1"}: pypitest.Fails, {"good", "1"}: pypitest.Pure}
	for _, c := range []struct {
		pkg, cause string
		state      farm.State
		again      bool
		wrong      bool
	}{
		{"good", "", farm.Built, false, false},
		{"good", "slave-lost", farm.Failed, true, false},
		{"good", "disk", farm.Failed, true, false},
		{"good", "compiler-error", farm.Failed, true, true},
		{"fails", "missing-header", farm.Failed, false, false},
		{"fails", "upstream-fault", farm.Failed, true, false},
		{"fails", "", farm.Built, false, true},
	} {
		again, wrong := failed([]store.JobRow{{Package: c.pkg, Version: "1", State: c.state, Cause: c.cause}}, kinds)
		if (len(again) > 0) != c.again || (len(wrong) > 0) != c.wrong {
			t.Errorf("%s is %s %s: once more %v, wrong %q", c.pkg, c.state, c.cause, again, wrong)
		}
	}
}

// TestJudgeOfAcceptedWheels: what a slave was told, against what is sent.
func TestJudgeOfAcceptedWheels(t *testing.T) {
	t.Parallel()
	const sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	log := filepath.Join(t.TempDir(), "s1.log")
	text := fmt.Sprintf(`{"level":"info","outcome":"built","reason":"","wheel":"demo-1.0-py3-none-any.whl","sha256":"%s","message":"report accepted"}
{"level":"warn","outcome":"built","reason":"the job has ended otherwise","wheel":"demo-1.0-py3-none-any.whl","sha256":"0","message":"report accepted"}
no JSON
`, sum)
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := acceptedBy(log)
	if err != nil || len(list) != 1 {
		t.Fatalf("accepted: %v, %v", list, err)
	}
	index := pypitest.State{Projects: map[string]pypitest.ProjectState{"demo": {Releases: []pypitest.ReleaseState{{Version: "1.0"}}}}}
	for body, faults := range map[string]int{"x": 0, "y": 1, "": 1} {
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body == "" || r.URL.Path != "/simple/demo/demo-1.0-py3-none-any.whl" {
				http.NotFound(w, r)
				return
			}
			fmt.Fprint(w, body)
		}))
		errs, looked := lost(t.Context(), site.URL, list, index)
		site.Close()
		if len(errs) != faults || looked != 1 {
			t.Errorf("the site sends %q: %v of %d", body, errs, looked)
		}
	}
	if _, looked := lost(t.Context(), "http://127.0.0.1:1", list, pypitest.State{}); looked != 0 {
		t.Error("a wheel whose release was removed is looked for")
	}
}

func TestJudgeReadsLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte("{}\npanic: nil\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if errs := broken(dir); len(errs) != 1 {
		t.Errorf("a log with a panic: %v", errs)
	}
}
