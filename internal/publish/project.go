package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// errNoWheels says that a project has nothing to publish.
var errNoWheels = errors.New("no wheels")

// The names of files that are not wheels, of a project and of the root.
const (
	pageHTML       = "index.html"
	pageJSON       = "index.json"
	gzipSuffix     = ".gz"       // after a page's name: its compressed copy
	metadataSuffix = ".metadata" // after a wheel's name: its METADATA (PEP 658)
)

// writeProject makes a project's folder agree with its rows. The order makes a
// crash between any two steps harmless:
func (p *Publisher) writeProject(ctx context.Context, s store.StalePage) error {
	page, err := p.cfg.Store.PageFacts(ctx, s.Scope)
	if errors.Is(err, farm.ErrNotFound) || err == nil && len(page.Wheels) == 0 {
		return errNoWheels
	}
	if err != nil {
		return err
	}
	dir, err := p.projectDir(s.Scope)
	if err != nil {
		return err
	}
	// Files first. A crash after them leaves files that no page names.
	entries, missing := p.placeAll(ctx, dir, page)
	if len(entries) == 0 {
		return missing
	}
	// Then the pages. A crash among them leaves some of them old: they name fewer
	// files, or others, and all of those are still there.
	p.at(crash.PublishFiles, s.Scope)
	if err := p.writePage(dir, page.Package, entries); err != nil {
		return err
	}
	p.at(crash.PublishPages, s.Scope)
	// Then what no page names any more.
	if err := clean(dir, page); err != nil {
		return err
	}
	p.at(crash.PublishCleaned, s.Scope)
	p.nPages.Add(1)
	// A lost file keeps its own name off the page, not the names of the others;
	// the page stays stale, so that it is tried again.
	if missing != nil {
		return missing
	}
	return p.done(ctx, s)
}

// projectDir makes the folder, durably: the row that would have us make it again
// is gone soon.
func (p *Publisher) projectDir(name string) (string, error) {
	if !pep.ValidName(name) || name != pep.NormalizeName(name) {
		return "", fmt.Errorf("make the folder of project %q: not a normalized name", name)
	}
	dir := filepath.Join(p.simple(), name)
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return dir, nil
	}
	if err != nil {
		return "", fmt.Errorf("make the folder of project %s: %w", name, err)
	}
	p.at(crash.PublishFolder, name)
	return dir, atomicfile.SyncDir(p.simple())
}

// writePage writes both forms of a page, each with its compressed copy.
func (p *Publisher) writePage(dir, project string, entries []entry) error {
	html := projectHTML(project, entries)
	if err := p.writeForm(filepath.Join(dir, pageHTML), html, func() { p.at(crash.PublishHTML, project) }); err != nil {
		return err
	}
	json, err := projectJSON(project, entries)
	if err != nil {
		return fmt.Errorf("write the page of %s: %w", project, err)
	}
	return p.writeForm(filepath.Join(dir, pageJSON), json, func() {})
}

// writeForm writes one form of a page, and then its copy with the time of the
// page: after a crash in between, who compares the times sees that the old copy
// is not of this page; who does not, as nginx, serves the page before, of which
// nothing was removed yet. The other order would be as harmless, but a copy
// cannot have the time of a page that is not there.
func (p *Publisher) writeForm(path string, body []byte, between func()) error {
	if _, err := atomicfile.WriteIfChanged(path, body, 0o644); err != nil {
		return err
	}
	between()
	z := p.gzips.get()
	defer p.gzips.put(z)
	_, err := atomicfile.WriteLike(path+gzipSuffix, z.pack(body), 0o644, path)
	return err
}

// clean removes the files that no row names, and what a crash left half-made:
// this process is the only writer here.
func clean(dir string, page store.Page) error {
	keep := map[string]bool{}
	for _, w := range page.Wheels {
		keep[w.Filename], keep[w.Filename+metadataSuffix] = true, true
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("clean the folder of %s: %w", page.Package, err)
	}
	for _, f := range found {
		if keep[f.Name()] || isPage(f.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("clean the folder of %s: %w", page.Package, err)
		}
	}
	return nil
}
