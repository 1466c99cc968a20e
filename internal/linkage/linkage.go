// Package linkage finds out what the files of a wheel need of the system that it was
// built on: which libraries, and which Debian packages have them.
//
// Input: a wheel that a build has left, which nobody has verified, and the folder below
// which the system lies, with dpkg's own lists of what each package has installed.
// Output: farm.ELF for each ELF file, and farm.Library for each library that they need
// and do not bring. Nothing of the wheel or of the system is run. It owns nothing; large
// files are read through one without a name.
package linkage

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"pinwheel/internal/elffile"
	"pinwheel/internal/farm"
)

// Limits of what is looked at of a wheel, which the master is to verify anyway. What
// goes beyond them is left out of the record.
const (
	maxEntries   = 20_000
	maxUnpacked  = 1 << 30 // bytes
	maxRead      = 1 << 30 // of an elffile.Budget: a slave is a Pi, and has a build to report
	maxLibraries = 100
)

// Wheel reads the ELF files of the wheel at path, for a platform (PEP 425), and looks for
// the libraries that they need among the packages of a system. Scratch is a folder for
// large files. The error says that the wheel could not be read.
func Wheel(ctx context.Context, path, platform string, system *System, scratch string) ([]farm.ELF, []farm.Library, error) {
	files, err := elves(ctx, path, scratch)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the ELF files of the wheel: %w", err)
	}
	machine, _ := elffile.MachineOf(platform)
	var needed []string
	brought := map[string]bool{}
	for _, f := range files {
		brought[base(f.Path)] = true
		if f.SOName != "" {
			brought[f.SOName] = true
		}
	}
	for _, f := range files {
		if f.Machine != machine.Name || f.Class != machine.Class {
			continue // data: nobody loads it here
		}
		for _, name := range f.Needed {
			if name = base(name); !brought[name] {
				needed = append(needed, name)
			}
		}
	}
	slices.Sort(needed) // and none twice
	needed = slices.Compact(needed)
	if len(needed) == 0 {
		return files, nil, nil
	}
	libraries := system.libraries(needed, machine.Triple)
	return files, libraries[:min(len(libraries), maxLibraries)], nil
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// elves reads the ELF files of a wheel.
func elves(ctx context.Context, path, scratch string) ([]farm.ELF, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := bounded(file, info.Size()); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(file, info.Size())
	if err != nil {
		return nil, err
	}
	w := &walk{ctx: ctx, left: maxUnpacked, buf: make([]byte, 32<<10), budget: elffile.DefaultBudget()}
	// More than are kept: behind an archive of thousands of members there may be a library.
	w.budget.Files, w.budget.Bytes, w.budget.Check = 10*elffile.MaxFiles, maxRead, ctx.Err
	w.spool.Dir = scratch
	defer w.spool.Close()
	for i, f := range z.File {
		if i == maxEntries || w.left <= 0 || w.files.Full {
			break
		}
		if err := w.entry(f); errors.Is(err, elffile.ErrBudget) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	return w.files.All, nil
}

// walk goes through the files of a wheel.
type walk struct {
	ctx    context.Context // unpacking has no room for it elsewhere
	spool  elffile.Spool
	left   int64 // bytes that may still be unpacked
	buf    []byte
	budget elffile.Budget
	files  elffile.Files
}

// add keeps one. Those that need no library, as the members of archives, take no more than
// half of the room: what is behind them and needs some is what libraries are looked for.
func (w *walk) add(f farm.ELF) {
	if len(f.Needed) == 0 && len(w.files.All) >= elffile.MaxFiles/2 {
		w.files.More++
		return
	}
	w.files.Add(f)
}

// entry reads one file; of those that are of no interest, the beginning.
func (w *walk) entry(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return nil // the master will say what is wrong with it
	}
	defer r.Close()
	w.spool.Begin()
	for w.spool.Kept() && w.left > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(w.buf)
		w.spool.Feed(w.buf[:n])
		w.left -= int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil
		}
	}
	if err := w.spool.Err(); err != nil {
		return err
	}
	switch {
	case w.left <= 0:
		return nil
	case w.spool.IsELF():
		facts, err := elffile.Read(&w.spool, w.spool.Size(), f.Name, &w.budget)
		if err == nil {
			w.add(facts)
		}
		return err
	case w.spool.IsArchive():
		return elffile.ReadArchive(&w.spool, w.spool.Size(), f.Name, &w.budget, w.add)
	}
	return nil
}

// sorted gives the libraries in the order of their names.
func sorted(found map[string]string) []farm.Library {
	var out []farm.Library
	for _, name := range slices.Sorted(maps.Keys(found)) {
		out = append(out, farm.Library{SOName: name, Package: found[name]})
	}
	return out
}
