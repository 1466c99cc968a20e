package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/pypi"
)

// lister is an index whose list of names ends as it is told.
type lister struct {
	Index
	asked int
	err   error
}

func (l *lister) Names(_ context.Context, _ string, visit func(pypi.Listed) error) (pypi.NamesInfo, error) {
	l.asked++
	return pypi.NamesInfo{}, errors.Join(visit(pypi.Listed{Name: "a", Display: "a", Serial: 1}), l.err)
}

// TestPatience: a list that failed rests, for longer each time; what was not the
// upstream's fault makes nobody wait.
func TestPatience(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	errCut := errors.New("the list is cut off")
	l := &lister{err: errCut}
	p := &patientIndex{Index: l, now: func() time.Time { return now }, times: &times{list: 10 * time.Second, listMost: time.Minute}}
	ask := func(visit error, want error, asked int) {
		t.Helper()
		_, err := p.Names(t.Context(), "", func(pypi.Listed) error { return visit })
		if !errors.Is(err, want) || l.asked != asked {
			t.Errorf("error %v, want %v; asked %d times, want %d", err, want, l.asked, asked)
		}
	}
	ask(nil, errCut, 1)
	ask(nil, errCut, 1)
	if _, err := p.Names(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "again in ") {
		t.Errorf("error %v", err)
	}
	now = now.Add(13 * time.Second)
	ask(nil, errCut, 2)
	now = now.Add(13 * time.Second) // the second pause is longer
	ask(nil, errCut, 2)
	now = now.Add(13 * time.Second)
	l.err = nil
	ask(nil, nil, 3)
	errOurs := errors.New("the database is away")
	ask(errOurs, errOurs, 4)
	ask(nil, nil, 5)
	l.err = pypi.ErrUnchanged
	ask(nil, pypi.ErrUnchanged, 6)
	ask(nil, pypi.ErrUnchanged, 7)
}
