package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pinwheel/internal/pypi"
)

// patientIndex does not ask for the list of names again soon after it failed: it
// has tens of megabytes, and one that is cut off is cut off for a while.
type patientIndex struct {
	Index
	now   func() time.Time
	times *times
	mu    sync.Mutex
	pause growing
	until time.Time
	last  error
}

// errResting says that an answer is the last one, and was not asked for anew.
var errResting = errors.New("it is asked for again")

// Names is that of the index, or the error of the last time while it rests.
func (p *patientIndex) Names(ctx context.Context, etag string, visit func(pypi.Listed) error) (pypi.NamesInfo, error) {
	if err := p.resting(); err != nil {
		return pypi.NamesInfo{}, err
	}
	ours := false // the end came from us
	info, err := p.Index.Names(ctx, etag, func(p pypi.Listed) error {
		err := visit(p)
		ours = err != nil
		return err
	})
	if !ours && ctx.Err() == nil {
		p.heard(err)
	}
	return info, err
}

func (p *patientIndex) resting() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := p.until.Sub(p.now()); p.last != nil && left > 0 {
		return fmt.Errorf("%w; %w in %s", p.last, errResting, left.Round(time.Second))
	}
	return nil
}

func (p *patientIndex) heard(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || errors.Is(err, pypi.ErrUnchanged) {
		p.last = nil
		p.pause.reset()
		return
	}
	p.pause.first, p.pause.most = p.times.list, p.times.listMost
	p.last, p.until = err, p.now().Add(max(p.pause.next(), after(err, p.times.listMost)))
}
