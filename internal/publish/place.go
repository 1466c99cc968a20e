package publish

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/crash"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// entry is a wheel with the parts of its version that order a page.
type entry struct {
	store.WheelRow
	version pep.Version
}

// placeAll puts the files of all wheels in place and returns those that are, in
// the order of the page, with the errors of the others.
func (p *Publisher) placeAll(ctx context.Context, dir *atomicfile.Folder, project string, wheels []store.WheelRow) ([]entry, error) {
	var entries []entry
	var errs []error
	for _, w := range wheels {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := newEntry(project, w)
		if err == nil {
			err = p.place(ctx, dir, w)
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
// this is not the first writing of the page. A file that has the name and the size
// is the right one: names are never used again, and appear with whole files only.
func (p *Publisher) place(ctx context.Context, dir *atomicfile.Folder, w store.WheelRow) error {
	if !hasSize(dir.Look(w.Filename), w.Size) {
		if err := p.placeFile(dir, w); err != nil {
			return err
		}
	}
	p.at(crash.PublishWheel, w.Package)
	if err := p.placeRecord(ctx, dir, w); err != nil {
		return err
	}
	if hasSize(dir.Look(w.Filename+metadataSuffix), w.MetadataSize) {
		return nil
	}
	if w.Metadata != nil {
		return placeMetadata(dir, w, w.Metadata)
	}
	metadata, err := p.cfg.Store.Metadata(ctx, w.Filename)
	if err != nil {
		return err
	}
	return placeMetadata(dir, w, metadata)
}

func hasSize(file fs.FileInfo, size int64) bool { return file != nil && file.Size() == size }

func placeMetadata(dir *atomicfile.Folder, w store.WheelRow, metadata []byte) error {
	if err := isMetadata(w, metadata); err != nil {
		return err
	}
	return dir.Write(w.Filename+metadataSuffix, metadata, 0o644)
}

func isMetadata(w store.WheelRow, metadata []byte) error {
	if sum := sha256.Sum256(metadata); hex.EncodeToString(sum[:]) != w.MetadataSHA256 {
		return errors.New("the stored METADATA is not what its hash says")
	}
	return nil
}

// placeFile links the wheel into the site.
func (p *Publisher) placeFile(dir *atomicfile.Folder, w store.WheelRow) error {
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
	if err := dir.Link(src, w.Filename); err != nil {
		return err
	}
	p.nFiles.Add(1)
	return nil
}
