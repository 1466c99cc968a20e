package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
)

// Files is what a repair asks of depot.Local.
type Files interface {
	// Has says whether a file of this hash and size, in bytes, is there.
	Has(sha string, size int64) (bool, error)
	// Put stores what r gives if it is the file want.
	Put(ctx context.Context, r io.Reader, want farm.File) error
	// Remove deletes a file.
	Remove(sha string) error
	// DiscardUnnamed takes files out for a day, but for those that rows name;
	// Reclaim brings one back, if it is there.
	DiscardUnnamed(hashes []string, named func([]string) ([]string, error)) error
	Reclaim(sha string) (bool, error)
}

// Site writes the site: publish.Publisher.
type Site interface {
	// Repair makes these folders of simple/, and the root index, what the rows say.
	Repair(ctx context.Context, folders []string) error
}

// Repair mends what the last Check found, looks again, and returns the same report
// with what is repaired marked as such. The error says what stood in the way.
//
// Files come back before pages are written that name them. What no row names goes
// last, and stays aside for a day.
func (a *Auditor) Repair(ctx context.Context, site Site) (Report, error) {
	// Whoever is killed between the steps leaves findings, which the next one mends.
	restored := a.restoreAll(ctx)
	crash.At(crash.AuditRestored)
	rewritten := a.rewrite(ctx, site)
	crash.At(crash.AuditRewritten)
	err := errors.Join(restored, rewritten, a.discardAll(ctx), a.lookAgain(ctx))
	if err != nil {
		err = fmt.Errorf("repair: %w", err)
	}
	return a.report, err
}

func (a *Auditor) restoreAll(ctx context.Context) error {
	var errs []error
	for i := range a.report.Findings {
		f := &a.report.Findings[i]
		if f.Kind != Missing && f.Kind != Damaged {
			continue
		}
		back, err := a.restore(ctx, *f)
		if err != nil {
			errs = append(errs, fmt.Errorf("take back %s: %w", f.Subject, err))
		} else if !back {
			f.Detail += "; there is no good copy on the site: it is lost"
		}
	}
	return errors.Join(errs...)
}

// restore brings a file back into the depot: one that was discarded, the copy on the site
// if that is good, which is not believed but read, or one that can be made again.
func (a *Auditor) restore(ctx context.Context, f Finding) (bool, error) {
	if f.Kind == Missing {
		if back, err := a.cfg.Depot.Reclaim(f.named.SHA256); err != nil || back {
			return back, err
		}
	}
	if f.named.Wheel == "" {
		return false, nil // logs are nowhere else
	}
	want := farm.File{Name: f.named.Wheel, SHA256: f.named.SHA256, Size: f.named.Size}
	if back, err := a.fromSite(ctx, f.folder, want); err != nil || back || a.cfg.Remake == nil {
		return back, err
	}
	return a.cfg.Remake(ctx, want)
}

func (a *Auditor) fromSite(ctx context.Context, folder string, want farm.File) (bool, error) {
	path := filepath.Join(a.simple(), folder, filepath.Base(want.Name))
	if got, err := hashFile(ctx, path); absent(err) || err == nil && got != want.SHA256 {
		return false, nil
	} else if err != nil {
		return false, err
	}
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	// A damaged file of the right size would be taken for the good one. A crash
	// before Put leaves it missing, and the copy on the site is still there.
	if err := a.cfg.Depot.Remove(want.SHA256); err != nil {
		return false, err
	}
	return true, a.cfg.Depot.Put(ctx, file, want)
}

// rewrite lets publish write what is wrong, and the pages of wheels that may have
// come back.
func (a *Auditor) rewrite(ctx context.Context, site Site) error {
	var folders []string
	needed := false
	for _, f := range a.report.Findings {
		switch f.Kind {
		case Missing, Damaged, SiteMissing, SiteOther, SiteStray, Stale:
			needed = true
			if f.folder != "" {
				folders = append(folders, f.folder)
			}
		}
	}
	if !needed {
		return nil
	}
	slices.Sort(folders)
	return site.Repair(ctx, slices.Compact(folders))
}

// discardAll takes leftovers out of the depot. A slave may report one of them at
// this very moment, however old it is: its row is looked for before and after, and
// for a day the file can be had back.
func (a *Auditor) discardAll(ctx context.Context) error {
	var all []string
	for _, f := range a.report.Findings {
		if f.Kind == Leftover {
			all = append(all, f.named.SHA256)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return a.cfg.Depot.DiscardUnnamed(all, func(hashes []string) ([]string, error) { return a.stillNamed(ctx, hashes) })
}

func (a *Auditor) stillNamed(ctx context.Context, hashes []string) ([]string, error) {
	rows, err := a.cfg.Store.StillNamed(ctx, hashes)
	var out []string
	for _, f := range rows {
		out = append(out, f.SHA256)
	}
	return out, err
}

// lookAgain marks what is as it should be now. What the repair itself may have
// brought up is added.
func (a *Auditor) lookAgain(ctx context.Context) error {
	bad, err := a.look(ctx, foldersOf(a.report.Findings))
	if err != nil {
		return err
	}
	stale, err := a.cfg.Store.StaleFor(ctx)
	if err != nil {
		return err
	}
	for i := range a.report.Findings {
		f := &a.report.Findings[i]
		switch f.Kind {
		case Rows, Foreign:
		case Missing, Damaged, Leftover:
			f.Repaired, err = a.isMended(ctx, *f)
		case Stale:
			_, still := stale[f.folder]
			f.Repaired = !still
		default:
			f.Repaired = !mentions(bad, f.Subject)
		}
		if err != nil {
			return err
		}
	}
	for _, b := range bad {
		if !mentions(a.report.Findings, b.Subject) {
			a.found(b)
		}
	}
	return nil
}

func mentions(list []Finding, subject string) bool {
	return slices.ContainsFunc(list, func(f Finding) bool { return f.Subject == subject })
}

// isMended looks at a file of the depot again.
func (a *Auditor) isMended(ctx context.Context, f Finding) (bool, error) {
	if f.Kind == Leftover {
		_, err := a.cfg.Depot.StoredAt(f.named.SHA256)
		if errors.Is(err, farm.ErrNotFound) {
			return true, nil
		}
		return false, err
	}
	has, err := a.cfg.Depot.Has(f.named.SHA256, f.named.Size)
	if err != nil || !has {
		return false, err
	}
	wrong, err := a.wrong(ctx, f.named, f.named.Size)
	return wrong == "", err
}
