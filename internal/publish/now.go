package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// The methods of this file write now what Run would write in its time. They may
// be called while Run runs, in this process or another. They go on after an
// error; what they return names each page that is not written.

// WriteAll writes every page of the site and removes what no row names.
func (p *Publisher) WriteAll(ctx context.Context) error {
	if _, err := p.cfg.Store.MarkAllStale(ctx); err != nil {
		return fmt.Errorf("write all pages: %w", err)
	}
	pages, err := p.stalePages(ctx)
	if err != nil {
		return fmt.Errorf("write all pages: %w", err)
	}
	strays, err := p.strays(ctx)
	return errors.Join(err, p.writeNow(ctx, append(pages, strays...)), p.writeRoot(ctx))
}

// WriteStale writes the pages that are stale, of the named projects or, with no
// name, of all, and then the root index too.
func (p *Publisher) WriteStale(ctx context.Context, names ...string) error {
	if err := p.refill(ctx); err != nil {
		return fmt.Errorf("write stale pages: %w", err)
	}
	pages, err := p.stalePages(ctx)
	if err != nil {
		return fmt.Errorf("write stale pages: %w", err)
	}
	if len(names) > 0 {
		pages = slices.DeleteFunc(pages, func(s store.StalePage) bool { return !slices.Contains(names, s.Scope) })
		return p.writeNow(ctx, pages)
	}
	return errors.Join(p.writeNow(ctx, pages), p.writeRoot(ctx))
}

// Repair makes the folders of these projects, and the root index, what the rows
// say, and trusts nothing that lies there: wheels become links to the depot's
// files again, and METADATA the rows' again, whatever their size. A folder of no project, or of one without
// wheels, is removed, and so are files beside the root index that are not of it.
func (p *Publisher) Repair(ctx context.Context, names []string) error {
	stale, err := p.stalePages(ctx)
	if err != nil {
		return fmt.Errorf("repair the site: %w", err)
	}
	var pages, nobodys []store.StalePage
	for _, name := range names {
		if name != filepath.Base(name) || name == "." || name == ".." {
			return fmt.Errorf("repair the site: %q names no folder in it", name)
		}
		s := store.StalePage{Scope: name, Generation: strayGeneration}
		if i := slices.IndexFunc(stale, func(s store.StalePage) bool { return s.Scope == name }); i >= 0 {
			s = stale[i]
		}
		if !isProject(name) {
			nobodys = append(nobodys, s)
		} else {
			pages = append(pages, s)
		}
	}
	return errors.Join(
		p.removeStrayFiles(ctx), // first: one may lie where a folder has to be
		p.relinkAll(ctx, pages),
		p.writeNow(ctx, pages),
		p.withdrawNow(ctx, nobodys),
		p.writeRoot(ctx),
	)
}

// isProject says whether a folder can be a project's: nobody asks the database
// about another.
func isProject(name string) bool { return pep.ValidName(name) && name == pep.NormalizeName(name) }

// stalePages lists all but the root index.
func (p *Publisher) stalePages(ctx context.Context) ([]store.StalePage, error) {
	pages, err := p.cfg.Store.StalePages(ctx, math.MaxInt32)
	return slices.DeleteFunc(pages, func(s store.StalePage) bool { return s.Scope == store.RootScope }), err
}

func (p *Publisher) writeNow(ctx context.Context, pages []store.StalePage) error {
	var errs []error
	done := 0
	for batch := range slices.Chunk(pages, batchSize) {
		if p.cfg.Told != nil {
			p.cfg.Told(done, len(pages))
		}
		failed, err := p.writePages(ctx, batch)
		errs = append(errs, err)
		for _, err := range failed {
			errs = append(errs, err)
		}
		if err := ctx.Err(); err != nil {
			return err // of the pages' errors this is the cause
		}
		done += len(batch)
	}
	return errors.Join(errs...)
}

func (p *Publisher) withdrawNow(ctx context.Context, gone []store.StalePage) error {
	unlock, err := p.lock(ctx, pagesLock)
	if err != nil {
		return err
	}
	defer unlock()
	failed := map[string]error{}
	p.withdraw(ctx, gone, nil, failed) // of no project, hence of no wheels
	var errs []error
	for _, err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// relinkAll puts the depot's files in the place of the projects' wheels. A file
// that the depot has lost is left: the page names it, and it may be the last copy.
func (p *Publisher) relinkAll(ctx context.Context, pages []store.StalePage) error {
	unlock, err := p.lock(ctx, pagesLock)
	if err != nil {
		return err
	}
	defer unlock()
	var errs []error
	for _, s := range pages {
		page, err := p.cfg.Store.Page(ctx, s.Scope)
		if err != nil {
			continue // without rows there are no wheels; writing the page says the rest
		}
		for _, w := range page.Offered() {
			if err := p.relink(page.Package, w); err != nil {
				errs = append(errs, fmt.Errorf("link %s anew: %w", w.Filename, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) relink(project string, w store.WheelRow) error {
	if _, err := newEntry(project, w); err != nil {
		return err
	}
	dir := p.disk.In(filepath.Join(p.simple(), project))
	defer dir.Close()
	if hasSize(dir.Look(w.Filename+metadataSuffix), w.MetadataSize) {
		if err := placeMetadata(dir, w, w.Metadata); err != nil {
			return err
		}
	}
	if err := replaceRecord(dir, w); err != nil {
		return err
	}
	if _, err := os.Lstat(dir.Path(w.Filename)); errors.Is(err, fs.ErrNotExist) {
		return dir.Commit(nil) // it is placed with the page
	}
	has, err := p.cfg.Depot.Has(w.SHA256, w.Size)
	if err != nil || !has {
		return errors.Join(err, dir.Commit(nil))
	}
	src, err := p.cfg.Depot.Path(w.SHA256)
	if err != nil {
		return err
	}
	return errors.Join(dir.Link(src, w.Filename), dir.Commit(nil))
}

// isPage says whether a file is one that writing a page writes.
func isPage(name string) bool {
	name = strings.TrimSuffix(name, gzipSuffix)
	return name == pageHTML || name == pageJSON
}

// removeStrayFiles removes what lies beside the root index and is no folder.
func (p *Publisher) removeStrayFiles(ctx context.Context) error {
	unlock, err := p.lock(ctx, rootLock)
	if err != nil {
		return err
	}
	defer unlock()
	found, err := os.ReadDir(p.simple())
	if err != nil {
		return fmt.Errorf("look for strays: %w", err)
	}
	for _, f := range found {
		if f.IsDir() || isPage(f.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(p.simple(), f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a stray file: %w", err)
		}
	}
	return nil
}
