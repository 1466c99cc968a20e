package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

const digits = "0123456789abcdef"

// checkDepot holds the depot against the rows that name its files, a sixteenth of
// them at a time: the rows of one hexadecimal digit, then its files. A file comes
// before its row, so a row that was read names a file that the walk must meet.
func (a *Auditor) checkDepot(ctx context.Context) error {
	w := walk{Auditor: a}
	err := a.cfg.Depot.Walk(func(sha string, size int64) error {
		if err := w.upTo(ctx, sha[:1]); err != nil {
			return err
		}
		return w.met(ctx, sha, size)
	})
	if errors.Is(err, depot.ErrForeign) {
		a.foreign(err)
	} else if err != nil {
		return err
	}
	if err := w.upTo(ctx, ""); err != nil {
		return err
	}
	return a.leftovers(ctx, w.unnamed)
}

// walk is the state of one walk through the depot.
type walk struct {
	*Auditor
	begun   int                        // digits whose rows were read
	named   map[string]store.NamedFile // of the last of them, not yet met
	unnamed []string                   // old files that no row names
}

// upTo reads the rows of the next digits up to the given one; "" ends the walk.
func (w *walk) upTo(ctx context.Context, digit string) (err error) {
	for w.begun == 0 || digit == "" || digits[w.begun-1:w.begun] != digit {
		if err := w.missing(ctx); err != nil {
			return err
		}
		if w.begun == len(digits) {
			return nil
		}
		rows, err := w.cfg.Store.NamedFiles(ctx, digits[w.begun:w.begun+1])
		if err != nil {
			return err
		}
		w.named = make(map[string]store.NamedFile, len(rows))
		for _, f := range rows {
			w.named[f.SHA256] = f
		}
		w.begun++
	}
	return nil
}

// missing finds what the walk has not met. Each is asked for by name: a file of
// the first folder may have come after that was read. A wheel that is taken down
// loses its row and then its file: so the rows of what is not there are read again.
func (w *walk) missing(ctx context.Context) error {
	var lacking []string
	for _, sha := range slices.Sorted(maps.Keys(w.named)) {
		has, err := w.cfg.Depot.Has(sha, w.named[sha].Size)
		if err != nil {
			return err
		}
		if !has {
			lacking = append(lacking, sha)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	still, err := w.stillNamed(ctx, lacking)
	if err != nil {
		return err
	}
	for _, sha := range lacking {
		if f := w.named[sha]; slices.Contains(still, sha) {
			w.found(Finding{Kind: Missing, Subject: subject(f), Detail: "the depot has no file " + sha, folder: folderOf(f), named: f})
		}
	}
	return nil
}

func (w *walk) met(ctx context.Context, sha string, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.report.Files++
	w.cfg.Told("files of the depot", w.report.Files, 0)
	f, known := w.named[sha]
	delete(w.named, sha)
	if !known {
		return w.unknown(sha)
	}
	wrong, err := w.wrong(ctx, f, size)
	if err == nil && wrong != "" {
		w.found(Finding{Kind: Damaged, Subject: subject(f), Detail: "the file in the depot " + wrong, folder: folderOf(f), named: f})
	}
	return err
}

// unknown counts a file that no row names. A young one may still get its row.
func (w *walk) unknown(sha string) error {
	at, err := w.cfg.Depot.StoredAt(sha)
	switch {
	case errors.Is(err, farm.ErrNotFound):
	case err != nil:
		return err
	case time.Since(at) < oldEnough:
		w.report.Young++
	default:
		w.unnamed = append(w.unnamed, sha)
	}
	return nil
}

// wrong says what is wrong with the bytes of a file in the depot, or nothing.
func (a *Auditor) wrong(ctx context.Context, f store.NamedFile, size int64) (string, error) {
	if size != f.Size {
		return fmt.Sprintf("has %d bytes, its row says %d", size, f.Size), nil
	}
	if !a.cfg.Full {
		return "", nil
	}
	path, err := a.cfg.Depot.Path(f.SHA256)
	if err != nil {
		return "", err
	}
	got, err := hashFile(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // removed since it was met, with its row
	}
	if err == nil && got != f.SHA256 {
		return "has SHA-256 " + got, nil
	}
	return "", err
}

// leftovers asks once more about the files that no row named: one may have got
// its row since.
func (a *Auditor) leftovers(ctx context.Context, unnamed []string) error {
	named, err := a.cfg.Store.StillNamed(ctx, unnamed)
	if err != nil {
		return err
	}
	for _, sha := range unnamed {
		if slices.ContainsFunc(named, func(f store.NamedFile) bool { return f.SHA256 == sha }) {
			continue
		}
		a.found(Finding{Kind: Leftover, Subject: sha, Detail: "no row names this file of the depot", named: store.NamedFile{SHA256: sha}})
	}
	return nil
}

// foreign takes the depot's joined errors apart.
func (a *Auditor) foreign(err error) {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, e := range list {
		a.found(Finding{Kind: Foreign, Subject: "depot", Detail: strings.TrimPrefix(e.Error(), "walk depot: ")})
	}
}

func subject(f store.NamedFile) string {
	if f.Wheel != "" {
		return f.Wheel
	}
	return fmt.Sprintf("log of build %d", f.Build)
}

// hashFile reads a whole file, for as long as the context lasts.
func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	buf := make([]byte, 256<<10)
	for {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
}
