package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/crash"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// The names of files that are not wheels, of a project and of the root.
const (
	pageHTML       = "index.html"
	pageJSON       = "index.json"
	gzipSuffix     = ".gz"       // after a page's name: its compressed copy
	metadataSuffix = ".metadata" // after a wheel's name: its METADATA (PEP 658)
)

// writeProject makes a project's folder agree with its rows, of which there is at
// least one, and takes down what is gone from it. The order makes a crash between
// any two steps harmless; forgetting that the page was stale comes after all of them.
func (p *Publisher) writeProject(ctx context.Context, page store.Page, gone []store.Withdrawn) error {
	path, made, err := p.projectDir(page.Package)
	if err != nil {
		return err
	}
	in := p.disk.In
	if made {
		in = p.disk.InNew
	}
	files, pages := in(path), in(path)
	if !made {
		files.Doubt()
	}
	defer files.Close()
	defer pages.Close()
	// Without those that are withheld: the page goes on without them, and their links
	// go; the depot keeps the files, so that all is back with the next writing.
	wheels := page.Offered()
	entries, missing := p.placeAll(ctx, files, page.Package, wheels)
	err = ctx.Err() // then nothing is known of what is missing
	// A page without a file serves nobody, but what must go does not wait for what is lost.
	if err == nil && len(entries) == 0 && missing != nil && len(gone) == 0 && len(wheels) == len(page.Wheels) {
		err = missing
	}
	if err == nil {
		err = p.preparePage(pages, page, entries)
	}
	if err == nil {
		// The bytes of all are flushed at once: a page tells nobody before it has its name.
		err = atomicfile.Flush(files, pages)
	}
	// Files first, names and all, also after an error: the next try need not write what it
	// finds. A crash after them leaves files that no page names.
	if err := cmp.Or(err, files.Commit(nil)); err != nil {
		return err
	}
	// Then the pages. A crash among them leaves some of them old: they name fewer
	// files, or others, and all of those are still there.
	p.at(crash.PublishFiles, page.Package)
	if err := p.commitPage(pages, page.Package); err != nil {
		return err
	}
	p.at(crash.PublishPages, page.Package)
	// Then what no page names any more, of which a folder that was made now has nothing.
	err = p.takeDown(ctx, page.Package, gone, func() error {
		if made {
			return nil
		}
		return clean(path, wheels)
	})
	if err != nil {
		return err
	}
	p.at(crash.PublishCleaned, page.Package)
	p.nPages.Add(1)
	// A lost file keeps its own name off the page, not the names of the others;
	// the page stays stale, so that it is tried again.
	return missing
}

// projectDir makes the folder, unless it is there. Its name is flushed with those of the
// others that are made now, before the rows go that would have us make it again.
func (p *Publisher) projectDir(name string) (dir string, made bool, err error) {
	if !pep.ValidName(name) || name != pep.NormalizeName(name) {
		return "", false, fmt.Errorf("make the folder of project %q: not a normalized name", name)
	}
	dir = filepath.Join(p.simple(), name)
	err = os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return dir, false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("make the folder of project %s: %w", name, err)
	}
	p.at(crash.PublishFolder, name)
	p.made.Store(true)
	return dir, true, nil
}

// flushFolders makes the names of new folders durable.
func (p *Publisher) flushFolders() error {
	if !p.made.Swap(false) {
		return nil
	}
	err := p.disk.Flush(atomicfile.Names(p.simple()))
	if err != nil {
		p.made.Store(true)
	}
	return err
}

// preparePage writes both forms of a page, each with its compressed copy after it,
// which has the time of the page; commitPage gives them their names.
func (p *Publisher) preparePage(dir *atomicfile.Folder, page store.Page, entries []entry) error {
	json, err := projectJSON(page, entries)
	if err != nil {
		return fmt.Errorf("write the page of %s: %w", page.Package, err)
	}
	for _, f := range []struct {
		name string
		body []byte
	}{{pageHTML, projectHTML(page, entries)}, {pageJSON, json}} {
		if err := dir.Write(f.name, f.body, 0o644); err != nil {
			return err
		}
		err := p.gzips.pack(f.body, func(packed []byte) error {
			return dir.WriteLike(f.name+gzipSuffix, packed, 0o644, f.name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// commitPage places each page before its copy. After a crash in between, who compares
// their times sees that the old copy is not of this page; who does not, as nginx, serves
// the page before, of which no file is removed yet. The other order would be as good.
func (p *Publisher) commitPage(dir *atomicfile.Folder, project string) error {
	return dir.Commit(func(name string) {
		switch name {
		case pageHTML:
			p.at(crash.PublishHTML, project)
		case pageHTML + gzipSuffix:
			p.at(crash.PublishHTMLCopy, project)
		case pageJSON:
			p.at(crash.PublishJSON, project)
		}
	})
}

// clean removes the files that no row names, and what a crash left half-made:
// this process is the only writer here.
func clean(dir string, wheels []store.WheelRow) error {
	keep := map[string]bool{}
	for _, w := range wheels {
		keep[w.Filename], keep[w.Filename+metadataSuffix], keep[w.Filename+recordSuffix] = true, true, true
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("clean %s: %w", dir, err)
	}
	for _, f := range found {
		if keep[f.Name()] || isPage(f.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("clean %s: %w", dir, err)
		}
	}
	return nil
}
