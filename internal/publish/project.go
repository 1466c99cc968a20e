package publish

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

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
	metadataSuffix = ".metadata" // after a wheel's name: its METADATA (PEP 658)
)

// entry is a wheel with the parts of its version that order a page.
type entry struct {
	store.WheelRow
	version pep.Version
}

// writeProject makes a project's folder agree with its rows. The order makes a
// crash between any two steps harmless:
func (p *Publisher) writeProject(ctx context.Context, s store.StalePage) error {
	page, err := p.cfg.Store.Page(ctx, s.Scope)
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
	// Then the pages. A crash between the two leaves one of them old: it names
	// fewer files, and all of those are still there.
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

// placeAll puts the files of all wheels in place and returns those that are, in
// the order of the page, with the errors of the others.
func (p *Publisher) placeAll(ctx context.Context, dir string, page store.Page) ([]entry, error) {
	var entries []entry
	var errs []error
	for _, w := range page.Wheels {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := newEntry(page.Package, w)
		if err == nil {
			err = p.place(dir, page.Package, w)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("publish %s: %w", w.Filename, err))
			continue
		}
		entries = append(entries, e)
	}
	inOrder(entries)
	return entries, errors.Join(errs...)
}

// newEntry checks what a row says of a wheel before anything is made of it.
func newEntry(project string, w store.WheelRow) (entry, error) {
	name, err := pep.ParseWheelName(w.Filename) // it becomes a path: no row is trusted with that
	if err != nil {
		return entry{}, err
	}
	if name.Name() != project {
		return entry{}, fmt.Errorf("the file name is of another project than %s", project)
	}
	if sum := sha256.Sum256(w.Metadata); hex.EncodeToString(sum[:]) != w.MetadataSHA256 {
		return entry{}, errors.New("the stored METADATA is not what its hash says")
	}
	version, err := pep.ParseVersion(w.Version)
	return entry{w, version}, err
}

// inOrder sorts a page: by version, then by name.
func inOrder(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.version.Compare(b.version), cmp.Compare(a.Filename, b.Filename))
	})
}

// place puts one wheel and its metadata into dir. Both are there already when
// this is not the first writing of the page.
func (p *Publisher) place(dir, project string, w store.WheelRow) error {
	if err := p.placeFile(filepath.Join(dir, w.Filename), w); err != nil {
		return err
	}
	p.at(crash.PublishWheel, project)
	_, err := atomicfile.WriteIfChanged(filepath.Join(dir, w.Filename+metadataSuffix), w.Metadata, 0o644)
	return err
}

// placeFile links the wheel into the site. A file that has the name and the size
// is the right one: names are never used again, and appear with whole files only.
func (p *Publisher) placeFile(dst string, w store.WheelRow) error {
	info, err := os.Lstat(dst)
	if err == nil && info.Mode().IsRegular() && info.Size() == w.Size {
		return nil
	}
	has, err := p.cfg.Depot.Has(w.SHA256, w.Size)
	if err != nil {
		return err
	}
	if !has {
		return fmt.Errorf("the depot has no file %s of %d bytes", w.SHA256, w.Size)
	}
	src, err := p.cfg.Depot.Path(w.SHA256)
	if err != nil {
		return err
	}
	if err := atomicfile.Link(src, dst); err != nil {
		return err
	}
	p.nFiles.Add(1)
	return nil
}

func (p *Publisher) writePage(dir, project string, entries []entry) error {
	if _, err := atomicfile.WriteIfChanged(filepath.Join(dir, pageHTML), projectHTML(project, entries), 0o644); err != nil {
		return err
	}
	p.at(crash.PublishHTML, project)
	body, err := projectJSON(project, entries)
	if err != nil {
		return fmt.Errorf("write the page of %s: %w", project, err)
	}
	_, err = atomicfile.WriteIfChanged(filepath.Join(dir, pageJSON), body, 0o644)
	return err
}

// clean removes the files that no row names, and what a crash left half-made:
// this process is the only writer here.
func clean(dir string, page store.Page) error {
	keep := map[string]bool{pageHTML: true, pageJSON: true}
	for _, w := range page.Wheels {
		keep[w.Filename], keep[w.Filename+metadataSuffix] = true, true
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("clean the folder of %s: %w", page.Package, err)
	}
	for _, f := range found {
		if keep[f.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("clean the folder of %s: %w", page.Package, err)
		}
	}
	return nil
}
