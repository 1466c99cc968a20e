package publish

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"pinwheel/internal/crash"
	"pinwheel/internal/store"
)

// writeStale is one round: it writes project pages until none is stale, but for
// those that failed a short while ago.
func (p *Publisher) writeStale(ctx context.Context) error {
	if err := p.refill(ctx); err != nil {
		return err
	}
	// The root index is woken when the pages that it may name are there.
	defer wake(p.root)
	for ctx.Err() == nil {
		pages, err := p.due(ctx)
		if err != nil || len(pages) == 0 {
			return err
		}
		failed, err := p.writePages(ctx, pages)
		if err != nil {
			return err
		}
		p.note(ctx, failed)
		wake(p.root)
	}
	return ctx.Err()
}

// refill marks every page when the site has no root index: it is new, or somebody
// deleted it. Once, until it is written: a disk that is full must not make us mark
// and be woken by that for ever.
func (p *Publisher) refill(ctx context.Context) error {
	_, err := os.Stat(filepath.Join(p.simple(), pageHTML))
	if err == nil || p.marked.Load() {
		return nil
	}
	if _, err := p.cfg.Store.MarkAllStale(ctx); err != nil {
		return err
	}
	p.marked.Store(true)
	return nil
}

// due lists a batch of stale project pages that may be tried now.
func (p *Publisher) due(ctx context.Context) ([]store.StalePage, error) {
	// More than a batch, so that failed pages at the head cannot fill all of it.
	pages, err := p.cfg.Store.StalePages(ctx, batchSize+p.patience.size())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pages, func(s store.StalePage) bool {
		return s.Scope == store.RootScope || !p.patience.due(s.Scope)
	}), nil
}

// note logs what failed and lets it rest.
func (p *Publisher) note(ctx context.Context, failed map[string]error) {
	if ctx.Err() != nil {
		return // we were told to stop: that is no fault of the page
	}
	for scope, err := range failed {
		again := p.patience.failed(scope)
		p.cfg.Log.Error().Err(err).Str("package", scope).Dur("again_in", again).Msg("page not written")
	}
}

// writePages writes project pages and returns the errors of those that could not
// be. What has no wheels any more is withdrawn at the end, all of it at once,
// since the root index has to be written before.
func (p *Publisher) writePages(ctx context.Context, pages []store.StalePage) (map[string]error, error) {
	unlock, err := p.lock(ctx, pagesLock)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := p.expect(ctx, pages); err != nil {
		return nil, err
	}
	down, err := p.withdrawnOf(ctx, pages)
	if err != nil {
		return nil, err
	}
	written, failed, err := p.writeWheels(ctx, pages, down)
	if err == nil {
		err = p.flushFolders()
	}
	if err != nil {
		return nil, err
	}
	gone := slices.DeleteFunc(slices.Clone(pages), func(s store.StalePage) bool {
		return failed[s.Scope] != nil || slices.Contains(written, s)
	})
	err = p.done(ctx, written...)
	p.withdraw(ctx, gone, down, failed)
	p.nFailures.Add(int64(len(failed)))
	return failed, err
}

// writeWheels writes the pages of those projects that have wheels, some at once.
// Their rows come in one stream, of which no more is read ahead than is in work.
func (p *Publisher) writeWheels(
	ctx context.Context, pages []store.StalePage, down map[string][]store.Withdrawn,
) (written []store.StalePage, failed map[string]error, err error) {
	var (
		mu     sync.Mutex
		group  errgroup.Group
		scopes = make(map[string]store.StalePage, len(pages))
	)
	group.SetLimit(atOnce)
	failed = map[string]error{}
	for _, s := range pages {
		scopes[s.Scope] = s
	}
	for page, err := range p.cfg.Store.PageFacts(ctx, slices.Collect(maps.Keys(scopes))) {
		if err != nil {
			group.Wait()
			return nil, nil, err
		}
		group.Go(func() error {
			project := page.Package
			err := p.writeProject(ctx, page, down[project])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[project] = err
			} else {
				written = append(written, scopes[project])
			}
			return nil
		})
	}
	group.Wait() // errors are in failed
	return written, failed, nil
}

// done forgets that pages were stale: the last step, since it ends the retries.
func (p *Publisher) done(ctx context.Context, pages ...store.StalePage) error {
	rows := slices.DeleteFunc(slices.Clone(pages), func(s store.StalePage) bool { return s.Generation == strayGeneration })
	if len(rows) > 0 {
		if err := p.cfg.Store.PagesWritten(ctx, rows...); err != nil {
			return err
		}
	}
	for _, s := range pages {
		p.patience.succeeded(s.Scope)
		if s.Scope == store.RootScope {
			p.at(crash.PublishRootDone, s.Scope)
		} else {
			p.at(crash.PublishDone, s.Scope)
		}
	}
	return nil
}
