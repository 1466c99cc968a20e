package audit_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/audit"
	"pinwheel/internal/depot"
)

// TestReclaim: a leftover that was taken out comes back when a row wants it.
func TestReclaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wheel, _ := w.build("foo")
	w.must(w.depot.Discard(wheel.SHA256))
	w.must(os.RemoveAll(w.site()))
	a := w.auditor()
	_, err := a.Check(t.Context())
	w.must(err)
	r, err := a.Repair(t.Context(), w.publisher)
	w.must(err)
	if r.Open() != 0 {
		t.Errorf("left: %q", lines(r))
	}
}

// TestContradictionsAreNotMended: rows are people's, or a bug's.
func TestContradictionsAreNotMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build("foo")
	w.exec(`update jobs set state = 'queued'`)
	a := w.auditor()
	_, err := a.Check(t.Context())
	w.must(err)
	r, err := a.Repair(t.Context(), w.publisher)
	w.must(err)
	want := []audit.Finding{{Kind: audit.Rows, Subject: "database", Detail: "job 1 is queued, but build 1 brought a wheel"}}
	if diff := cmp.Diff(want, r.Findings, cmpopts.IgnoreUnexported(audit.Finding{})); diff != "" {
		t.Error(diff)
	}
}

// TestTakenDownDuringAnAudit: a wheel whose row was read and whose file has gone
// since, with its row, is not missing.
func TestTakenDownDuringAnAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wheel, _ := w.build("foo")
	d := &lateDepot{Local: w.depot, sha: wheel.SHA256, late: func() {
		_, err := w.Remove(t.Context(), "foo", nil, "test")
		w.must(err)
		w.must(w.publisher.WriteStale(t.Context()))
	}}
	r, err := w.auditor(func(c *audit.Config) { c.Depot = d }).Check(t.Context())
	w.must(err)
	if len(r.Findings) != 0 {
		t.Errorf("found %q", lines(r))
	}
	if has, err := w.depot.Has(wheel.SHA256, wheel.Size); has || err != nil {
		t.Errorf("the wheel is there: %v, %v; then this proves nothing", has, err)
	}
}

// lateDepot lets something happen between the reading of the rows and the look for
// one file.
type lateDepot struct {
	*depot.Local
	sha  string
	late func()
}

func (d *lateDepot) Walk(f func(sha string, size int64) error) error {
	return d.Local.Walk(func(sha string, size int64) error {
		if sha == d.sha {
			return nil
		}
		return f(sha, size)
	})
}

func (d *lateDepot) Has(sha string, size int64) (bool, error) {
	if sha == d.sha && d.late != nil {
		d.late()
		d.late = nil
	}
	return d.Local.Has(sha, size)
}
