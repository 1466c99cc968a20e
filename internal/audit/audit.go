// Package audit proves that the database, the depot and the site agree, and makes
// them agree again where that is possible.
//
// Input: the rows, the depot's files, the folder simple/ of the site, and what
// publish makes of rows. Output: findings, each one thing that is not as it should
// be. It owns nothing, and a crash at any moment leaves nothing half done: a
// repair puts a file back or lets publish write a page again, and both are whole
// or not there.
//
// A farm works while it is audited, and rows and files cannot be read at one
// moment. So what looks wrong is looked at again before it is called so.
//
// Check changes nothing. Repair never changes a row, and never removes a file that
// a row names: what is lost is said to be lost.
package audit

import (
	"context"
	"fmt"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Kind says what sort of disagreement a finding is.
type Kind string

// The kinds of findings.
const (
	Rows        Kind = "rows"          // rows contradict each other, or cannot be published
	Missing     Kind = "file-missing"  // the depot has no file that a row names
	Damaged     Kind = "file-damaged"  // it has other bytes
	Leftover    Kind = "file-leftover" // no row names it, and it is old
	Foreign     Kind = "file-foreign"  // it lies in the depot and is no file of it
	SiteMissing Kind = "site-missing"  // the site lacks a file that the rows make
	SiteOther   Kind = "site-other"    // it has other bytes
	SiteStray   Kind = "site-stray"    // no row asked for it
	Stale       Kind = "site-stale"    // a page waits to be written
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{Rows, Missing, Damaged, Leftover, Foreign, SiteMissing, SiteOther, SiteStray, Stale}
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Subject  string `json:"subject"`  // a file of the site, a wheel, a SHA-256, a project
	Detail   string `json:"detail"`   // what is wrong with it, in words
	Repaired bool   `json:"repaired"` // by Repair, and looked at again

	folder string          // of simple/, for what is to be written again; "" is simple/ itself
	named  store.NamedFile // for files of the depot
}

func (f Finding) String() string { return fmt.Sprintf("%s %s: %s", f.Kind, f.Subject, f.Detail) }

// Report is what an audit came to.
type Report struct {
	Packages int64     `json:"packages"` // that have a page
	Files    int64     `json:"files"`    // of the depot
	Young    int64     `json:"young"`    // of them, that no row names yet
	Pending  int64     `json:"pending"`  // pages that a daemon is about to write
	Findings []Finding `json:"findings"`
}

// Open is how many findings stand.
func (r Report) Open() (n int) {
	for _, f := range r.Findings {
		if !f.Repaired {
			n++
		}
	}
	return n
}

// Depot is what an audit asks of depot.Local.
type Depot interface {
	Files
	// Walk calls f for each file in the order of the hashes.
	Walk(f func(sha string, size int64) error) error
	// StoredAt says when the file was put there; farm.ErrNotFound.
	StoredAt(sha string) (time.Time, error)
	// Path is where the file is, or would be.
	Path(sha string) (string, error)
}

// Config says what is audited.
type Config struct {
	Store   *store.Store
	Depot   Depot
	SiteDir string

	// Render gives the files that a project's rows make beside its wheels, and
	// RenderRoot those of the root index for its names: those of publish.
	Render     func(store.Page) (map[string][]byte, error)
	RenderRoot func(names []string) map[string][]byte

	// Remake puts a wheel that is lost into the depot again, if it is a copy that the farm
	// made of another, in the place of a damaged one; false: it is not, or the other is
	// lost too. It may be nil.
	Remake func(ctx context.Context, wheel farm.File) (bool, error)

	Full     bool // read every byte of every file
	Attended bool // a daemon writes pages: what has just become stale is not wrong

	Told func(what string, done, all int64) // hears how far it has come; all 0: not known; may be nil
}

// A finding that a daemon may mend by itself is looked at again after a pause.
const (
	looks      = 3
	lookPause  = time.Second
	staleGrace = 2 * time.Minute // the root index is up to a minute late
	oldEnough  = 24 * time.Hour  // a file comes before its row; a slave that was away reports late
)

// Auditor audits one farm. Its methods are for one goroutine.
type Auditor struct {
	cfg    Config
	report Report
}

// New makes an auditor; it does nothing until Check.
func New(cfg Config) *Auditor {
	if cfg.Told == nil {
		cfg.Told = func(string, int64, int64) {}
	}
	return &Auditor{cfg: cfg}
}

// Check looks at everything. The error says that it could not; disagreements are
// findings.
func (a *Auditor) Check(ctx context.Context) (Report, error) {
	a.report = Report{Findings: []Finding{}}
	for _, look := range []func(context.Context) error{a.checkRows, a.checkDepot, a.checkSite} {
		if err := look(ctx); err != nil {
			return a.report, fmt.Errorf("audit: %w", err)
		}
	}
	return a.report, nil
}

func (a *Auditor) found(list ...Finding) { a.report.Findings = append(a.report.Findings, list...) }

// checkRows holds the rows against each other.
func (a *Auditor) checkRows(ctx context.Context) error {
	lines, err := a.cfg.Store.Contradictions(ctx)
	for _, l := range lines {
		a.found(Finding{Kind: Rows, Subject: "database", Detail: l})
	}
	return err
}
