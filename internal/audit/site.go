package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// lastPage is the page that publish writes last: with it a project is published.
const lastPage = "index.json"

// folderOf is the project of a wheel; a log has none.
func folderOf(f store.NamedFile) string {
	name, err := pep.ParseWheelName(f.Wheel)
	if err != nil {
		return ""
	}
	return name.Name()
}

func (a *Auditor) simple() string { return filepath.Join(a.cfg.SiteDir, "simple") }

// checkSite looks at every folder, and at what is wrong once or twice more: a
// daemon may have been about to write it.
func (a *Auditor) checkSite(ctx context.Context) error {
	folders, err := a.folders(ctx)
	if err != nil {
		return err
	}
	var bad []Finding
	for look := 1; look <= looks; look++ {
		if bad, err = a.look(ctx, folders); err != nil || len(bad) == 0 {
			break
		}
		if folders = foldersOf(bad); look == looks || !a.pause(ctx) {
			break
		}
	}
	if err != nil {
		return err
	}
	return a.exceptPending(ctx, bad)
}

// pause gives a daemon time to write. Without one, nothing changes by itself.
func (a *Auditor) pause(ctx context.Context) bool {
	if !a.cfg.Attended {
		return false
	}
	return service.Sleep(ctx, lookPause)
}

// folders lists the projects that have wheels and the folders that there are.
func (a *Auditor) folders(ctx context.Context) ([]string, error) {
	packages, err := a.cfg.Store.PublishedPackages(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{"": true}
	a.report.Packages = int64(len(packages))
	for _, p := range packages {
		all[p.Name] = true
	}
	entries, err := os.ReadDir(a.simple())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			all[e.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

func foldersOf(list []Finding) []string {
	set := map[string]bool{}
	for _, f := range list {
		set[f.folder] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// look holds folders of the site against the rows.
func (a *Auditor) look(ctx context.Context, folders []string) (bad []Finding, err error) {
	for i, name := range folders {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a.cfg.Told("pages", int64(i), int64(len(folders)))
		var list []Finding
		if name == "" {
			list, err = a.lookAtRoot(ctx)
		} else {
			list, err = a.lookAt(ctx, name)
		}
		if err != nil {
			return nil, err
		}
		bad = append(bad, list...)
	}
	return bad, nil
}

// lookAt holds one project's folder against its rows.
func (a *Auditor) lookAt(ctx context.Context, name string) ([]Finding, error) {
	page, err := store.Page{}, farm.ErrNotFound
	if pep.ValidName(name) && name == pep.NormalizeName(name) {
		page, err = a.cfg.Store.Page(ctx, name)
	}
	if err != nil && !errors.Is(err, farm.ErrNotFound) {
		return nil, err
	}
	if len(page.Wheels) == 0 {
		return a.lookForNothing(name)
	}
	want, err := a.cfg.Render(page)
	if err != nil {
		return []Finding{{Kind: Rows, Subject: name, Detail: err.Error(), folder: name}}, nil
	}
	l := listing{Auditor: a, folder: name}
	for _, file := range slices.Sorted(maps.Keys(want)) {
		l.page(file, want[file])
	}
	for _, w := range page.Offered() { // the others nobody may have, and the depot has them
		l.wheel(ctx, w)
	}
	l.strays(false)
	return l.bad, l.err
}

// lookForNothing finds the folder of a project that has nothing to publish.
func (a *Auditor) lookForNothing(name string) ([]Finding, error) {
	_, err := os.Lstat(filepath.Join(a.simple(), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return []Finding{{Kind: SiteStray, Subject: name + "/", Detail: "no wheel is published there", folder: name}}, err
}

// lookAtRoot holds the root index against the projects that have their page: the
// others are findings of their own. A farm that has published nothing may have
// no site.
func (a *Auditor) lookAtRoot(ctx context.Context) ([]Finding, error) {
	packages, err := a.cfg.Store.PublishedPackages(ctx)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, p := range packages {
		if _, err := os.Lstat(filepath.Join(a.simple(), p.Name, lastPage)); err == nil {
			names = append(names, p.Name)
		}
	}
	l := listing{Auditor: a}
	_, err = os.Lstat(a.simple())
	if len(packages) == 0 && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	want := a.cfg.RenderRoot(names)
	for _, file := range slices.Sorted(maps.Keys(want)) {
		if _, err := os.Lstat(l.path(file)); len(packages) == 0 && errors.Is(err, fs.ErrNotExist) {
			l.expect(file)
			continue
		}
		l.page(file, want[file])
	}
	l.strays(true)
	return l.bad, l.err
}

// exceptPending reports what is wrong, but for pages that a daemon is about to
// write, and the pages that nobody writes.
func (a *Auditor) exceptPending(ctx context.Context, bad []Finding) error {
	stale, err := a.cfg.Store.StaleFor(ctx)
	if err != nil {
		return err
	}
	young := func(folder string) bool {
		age, ok := stale[folder]
		return ok && a.cfg.Attended && age < staleGrace
	}
	for _, f := range bad {
		if !young(f.folder) {
			a.found(f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stale)) {
		if young(name) {
			a.report.Pending++
			continue
		}
		a.found(Finding{Kind: Stale, Subject: named(name), folder: name,
			Detail: fmt.Sprintf("waits to be written, for %v", stale[name].Round(time.Second))})
	}
	return nil
}

// named is a scope as people say it.
func named(scope string) string {
	if scope == store.RootScope {
		return "the root index"
	}
	return scope
}

// listing holds one folder of the site against what should be in it.
type listing struct {
	*Auditor
	folder string // of simple/; "": simple/ itself
	wanted map[string]bool
	bad    []Finding
	err    error // of reading; the first
}

func (l *listing) path(file string) string { return filepath.Join(l.simple(), l.folder, file) }

func (l *listing) expect(file string) {
	if l.wanted == nil {
		l.wanted = map[string]bool{}
	}
	l.wanted[file] = true
}

func (l *listing) finding(k Kind, file, format string, args ...any) {
	l.bad = append(l.bad, Finding{Kind: k, Subject: filepath.Join(l.folder, file), Detail: fmt.Sprintf(format, args...), folder: l.folder})
}

func (l *listing) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// page compares a file byte for byte with what the rows make of it.
func (l *listing) page(file string, want []byte) {
	l.expect(file)
	got, err := os.ReadFile(l.path(file))
	switch {
	case absent(err):
		l.finding(SiteMissing, file, "the site has no such file")
	case err != nil:
		l.fail(err)
	case !bytes.Equal(got, want):
		l.finding(SiteOther, file, "is not what the rows make")
	}
}

// absent says whether an error is that of a path where there is nothing, or
// something else than a file in a folder.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR)
}

// wheel looks for a wheel's file: its size, and all of it in a full audit, unless
// it is the very file of the depot, which was read there.
func (l *listing) wheel(ctx context.Context, w store.WheelRow) {
	l.expect(w.Filename)
	info, err := os.Lstat(l.path(w.Filename))
	switch {
	case absent(err):
		l.finding(SiteMissing, w.Filename, "the site has no such file")
		return
	case err != nil:
		l.fail(err)
		return
	case !info.Mode().IsRegular() || info.Size() != w.Size:
		l.finding(SiteOther, w.Filename, "is no file of %d bytes, as its row says", w.Size)
		return
	}
	if !l.cfg.Full || l.isDepots(w.SHA256, info) {
		return
	}
	got, err := hashFile(ctx, l.path(w.Filename))
	if err != nil {
		l.fail(err)
	} else if got != w.SHA256 {
		l.finding(SiteOther, w.Filename, "has SHA-256 %s, its row says %s", got, w.SHA256)
	}
}

func (l *listing) isDepots(sha string, info fs.FileInfo) bool {
	path, err := l.cfg.Depot.Path(sha)
	if err != nil {
		return false
	}
	same, err := os.Lstat(path)
	return err == nil && os.SameFile(same, info)
}

// strays finds what was not expected; folders are findings of their own in the
// root.
func (l *listing) strays(root bool) {
	entries, err := os.ReadDir(filepath.Join(l.simple(), l.folder))
	if err != nil && !absent(err) {
		l.fail(err)
	}
	for _, e := range entries {
		if !l.wanted[e.Name()] && !(root && e.IsDir()) {
			l.finding(SiteStray, e.Name(), "no row asked for it")
		}
	}
}
