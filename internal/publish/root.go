package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pinwheel/internal/atomicfile"
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
	scopes, listed, err := p.staleScopes(ctx)
	if err != nil || listed == nil {
		return err
	}
	// An index without a page that is being written would keep that name waiting
	// for a whole pace. The pages wake us when they are there; a page that cannot be
	// written is waited for only once.
	if p.awaitsPage(scopes) && p.waited.CompareAndSwap(false, true) {
		return nil
	}
	p.waited.Store(false)
	return p.writeRoot(ctx)
}

// awaitsPage says whether a project that is stale has no page at all.
func (p *Publisher) awaitsPage(scopes map[string]bool) bool {
	for name := range scopes {
		if name != store.RootScope && !p.hasPage(name) {
			return true
		}
	}
	return false
}

// staleScopes reads which pages are stale; root is nil if the root index is not.
func (p *Publisher) staleScopes(ctx context.Context) (scopes map[string]bool, root *store.StalePage, err error) {
	pages, err := p.cfg.Store.StalePages(ctx, math.MaxInt32)
	if err != nil {
		return nil, nil, err
	}
	scopes = make(map[string]bool, len(pages))
	for _, s := range pages {
		scopes[s.Scope] = true
		if s.Scope == store.RootScope {
			root = &s
		}
	}
	return scopes, root, nil
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
	// The generation is read before the names: a project that comes in between
	// leaves the index stale, at worst for nothing.
	_, root, err := p.staleScopes(ctx)
	if err != nil {
		return err
	}
	names, whole, err := p.rootNames(ctx)
	if err != nil {
		return err
	}
	if err := p.writeRootFiles(names); err != nil {
		return err
	}
	p.at(crash.PublishRootPages, store.RootScope)
	if root == nil || !whole {
		return nil
	}
	return p.done(ctx, *root)
}

// rootNames lists the projects that have a page, in order. It is whole if that is
// every project that has a wheel.
func (p *Publisher) rootNames(ctx context.Context) (names []string, whole bool, err error) {
	published, err := p.cfg.Store.PublishedPackages(ctx)
	if err != nil {
		return nil, false, err
	}
	// Read after the names: what is among them and not stale now has its page, so
	// only the others must be looked for on the disk.
	scopes, _, err := p.staleScopes(ctx)
	if err != nil {
		return nil, false, err
	}
	names, whole = make([]string, 0, len(published)), true
	for _, pkg := range published {
		if scopes[pkg.Name] && !p.hasPage(pkg.Name) {
			whole = false
			continue
		}
		names = append(names, pkg.Name)
	}
	return names, whole, nil
}

// hasPage looks for the page that is written last.
func (p *Publisher) hasPage(name string) bool {
	_, err := os.Lstat(filepath.Join(p.simple(), name, "index.json"))
	return err == nil
}

func (p *Publisher) writeRootFiles(names []string) error {
	html, err := atomicfile.WriteIfChanged(filepath.Join(p.simple(), "index.html"), rootHTML(names), 0o644)
	if err != nil {
		return err
	}
	p.at(crash.PublishRootHTML, store.RootScope)
	json, err := atomicfile.WriteIfChanged(filepath.Join(p.simple(), "index.json"), rootJSON(names), 0o644)
	if err != nil {
		return err
	}
	p.marked.Store(false)
	if html || json {
		p.nRoots.Add(1)
	}
	return nil
}

// withdraw removes the folders of projects that have nothing to publish, in the
// order opposite to publishing: root index, page, files.
func (p *Publisher) withdraw(ctx context.Context, gone []store.StalePage, failed map[string]error) {
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
			err = p.removeProject(s.Scope)
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
func (p *Publisher) removeProject(name string) error {
	dir := filepath.Join(p.simple(), name)
	for _, page := range []string{"index.html", "index.json"} {
		if err := os.Remove(filepath.Join(dir, page)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	p.at(crash.PublishWithdrawn, name)
	return os.RemoveAll(dir)
}

// strayGeneration is no row's: what is done under it forgets nothing.
const strayGeneration = 0

// strays finds the folders that no row names, and removes the files that a crash
// left half-made beside the root index.
func (p *Publisher) strays(ctx context.Context) ([]store.StalePage, error) {
	unlock, err := p.lock(ctx, rootLock)
	if err != nil {
		return nil, err
	}
	defer unlock()
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
		switch {
		case f.IsDir() && !known[f.Name()]:
			out = append(out, store.StalePage{Scope: f.Name(), Generation: strayGeneration})
		case !f.IsDir() && strings.HasPrefix(f.Name(), ".index."):
			if err := os.Remove(filepath.Join(p.simple(), f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("look for strays: %w", err)
			}
		}
	}
	return out, nil
}
