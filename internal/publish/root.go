package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pinwheel/internal/crash"
	"pinwheel/internal/store"
)

// writeStaleRoot is one round of the root index: it waits until the pace allows
// it, and writes if there is something to write.
func (p *Publisher) writeStaleRoot(ctx context.Context) error {
	wait := time.NewTimer(p.pace.left(p.cfg.Now()))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
	}
	// Before the rows are asked: of a site that was deleted, they know pages that
	// are not there, and once the index is written nobody would notice.
	if err := p.refill(ctx); err != nil {
		return err
	}
	root, err := p.cfg.Store.StaleRoot(ctx)
	if err != nil || root == nil {
		return err
	}
	// An index without a page that is being written would keep that name waiting
	// for a whole pace. The pages wake us when they are there; a page that cannot be
	// written is waited for only once.
	awaited, err := p.awaitsPage(ctx)
	if err != nil {
		return err
	}
	if awaited && p.waited.CompareAndSwap(false, true) {
		return nil
	}
	p.waited.Store(false)
	return p.writeRoot(ctx)
}

// awaitsPage says whether a project that is stale has no page at all. All may be
// stale, so they are looked at one by one.
func (p *Publisher) awaitsPage(ctx context.Context) (bool, error) {
	for name, err := range p.cfg.Store.StaleProjects(ctx) {
		if err != nil || !p.hasPage(name) {
			return err == nil, err
		}
	}
	return false, nil
}

// writeRoot writes the root index. It names only projects whose page is there:
// when one is not, it stays stale, to be written again when that has changed.
func (p *Publisher) writeRoot(ctx context.Context) error {
	unlock, err := p.lock(ctx, rootLock)
	if err != nil {
		return err
	}
	defer unlock()
	p.pace.start(p.cfg.Now())
	if err := p.sweepRoot(); err != nil {
		return err
	}
	// The generation is read before the names: a project that comes in between
	// leaves the index stale, at worst for nothing.
	root, err := p.cfg.Store.StaleRoot(ctx)
	if err != nil {
		return err
	}
	whole := true
	if err := p.writeRootFiles(p.withPage(p.cfg.Store.Listing(ctx), &whole)); err != nil {
		return err
	}
	p.at(crash.PublishRootPages, store.RootScope)
	if root == nil || !whole {
		return nil
	}
	return p.done(ctx, *root)
}

// sweepRoot removes what a crash left half-made beside the root index, where
// nobody else writes now. It is done once, and after the death of another process
// that wrote here (mark): the folder is long.
func (p *Publisher) sweepRoot() error {
	if p.swept.Swap(true) {
		return nil
	}
	dir, err := os.Open(p.simple())
	if err != nil {
		return fmt.Errorf("look for half-made files: %w", err)
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(1024)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for half-made files: %w", err)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, ".index.") {
				continue
			}
			if err := os.Remove(filepath.Join(p.simple(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove a half-made file: %w", err)
			}
		}
	}
}

// withPage passes on the names of the projects that have a page, and takes back
// whole if that is not every one. What is not stale has its page, so only the
// others must be looked for on the disk.
func (p *Publisher) withPage(listing iter.Seq2[store.Listed, error], whole *bool) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for l, err := range listing {
			if err == nil && l.Stale && !p.hasPage(l.Name) {
				*whole = false
				continue
			}
			if !yield(l.Name, err) {
				return
			}
		}
	}
}

// hasPage looks for the page that is written last.
func (p *Publisher) hasPage(name string) bool {
	_, err := os.Lstat(filepath.Join(p.simple(), name, pageJSON))
	return err == nil
}

// expect marks the root index when pages are to be written that are not there
// yet. That is done before they are, so that a crash cannot come in between; an
// index that is written too early stays stale by itself.
func (p *Publisher) expect(ctx context.Context, pages []store.StalePage) error {
	for _, s := range pages {
		if !p.hasPage(s.Scope) {
			return p.cfg.Store.MarkRootStale(ctx)
		}
	}
	return nil
}

// withdraw removes the folders of projects that have nothing to publish, in the
// order opposite to publishing: root index, page, rows, files.
func (p *Publisher) withdraw(ctx context.Context, gone []store.StalePage, down map[string][]store.Withdrawn, failed map[string]error) {
	var rootErr error
	for _, s := range gone {
		if _, err := os.Lstat(filepath.Join(p.simple(), s.Scope)); err == nil {
			rootErr = p.writeRoot(ctx)
			break
		}
	}
	for _, s := range gone {
		err := rootErr
		if err == nil {
			err = p.removeProject(ctx, s.Scope, down[s.Scope])
		}
		if err == nil {
			err = p.done(ctx, s)
		}
		if err != nil {
			failed[s.Scope] = fmt.Errorf("withdraw the page of %s: %w", s.Scope, err)
		}
	}
}

// removeProject removes a folder of simple/, the pages before what they name.
func (p *Publisher) removeProject(ctx context.Context, name string, down []store.Withdrawn) error {
	dir := filepath.Join(p.simple(), name)
	for _, page := range []string{pageHTML + gzipSuffix, pageHTML, pageJSON + gzipSuffix, pageJSON} {
		if err := os.Remove(filepath.Join(dir, page)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	p.at(crash.PublishWithdrawn, name)
	return p.takeDown(ctx, name, down, func() error { return os.RemoveAll(dir) })
}

// strayGeneration is no row's: what is done under it forgets nothing.
const strayGeneration = 0

// strays finds the folders that no row names. The next writing of the root index
// will look for half-made files again.
func (p *Publisher) strays(ctx context.Context) ([]store.StalePage, error) {
	unlock, err := p.lock(ctx, rootLock)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p.swept.Store(false)
	found, err := os.ReadDir(p.simple())
	if err != nil {
		return nil, fmt.Errorf("look for strays: %w", err)
	}
	published, err := p.cfg.Store.PublishedPackages(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(published))
	for _, pkg := range published {
		known[pkg.Name] = true
	}
	var out []store.StalePage
	for _, f := range found {
		if f.IsDir() && !known[f.Name()] {
			out = append(out, store.StalePage{Scope: f.Name(), Generation: strayGeneration})
		}
	}
	return out, nil
}
