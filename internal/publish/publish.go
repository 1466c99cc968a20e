package publish

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/crash"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// Depot is where the wheel files are.
type Depot interface {
	// Path is where the file with this SHA-256 is, or would be.
	Path(sha256 string) (string, error)
	// Has says whether it is there, with this size in bytes.
	Has(sha256 string, size int64) (bool, error)
	// DiscardUnnamed takes files out, but for those that rows name: named says which.
	DiscardUnnamed(hashes []string, named func(hashes []string) ([]string, error)) error
}

// Config says what a Publisher works with. Zero durations mean the defaults.
type Config struct {
	Store   *store.Store
	Depot   Depot
	SiteDir string // simple/ is made in it
	Log     zerolog.Logger

	// RootEvery is the least time between two writings of the root index, 60 s:
	// it grows with the number of projects, and pip does not read it.
	RootEvery time.Duration
	// Rescan is the pause after which stale pages are looked for unasked, 10 s: a
	// notification may be lost.
	Rescan time.Duration
	// Now is the clock, time.Now.
	Now func() time.Time
	// Told hears how far WriteAll, WriteStale and Repair have come, in pages of
	// projects; it may be nil.
	Told func(done, all int)
}

const (
	batchSize = 64 // pages between two looks at the queue
	atOnce    = 16 // pages in work: they wait for the disk, which flushes many like one
)

// Counts is what a Publisher has done since it was made.
type Counts struct {
	Pages    int64 `json:"pages"`    // project pages written
	Files    int64 `json:"files"`    // wheels that were linked into the site
	Roots    int64 `json:"roots"`    // writings of the root index that changed it
	Failures int64 `json:"failures"` // pages that could not be written, each try
}

// Publisher writes stale pages. Its methods may be called at the same time, also
// by several processes on one site.
type Publisher struct {
	cfg      Config
	pages    chan struct{} // wakes the loop of pages
	root     chan struct{} // wakes the loop of the root index
	patience *patience
	pace     pace
	gzips    packers
	disk     *atomicfile.Disk
	marked   atomic.Bool // everything was marked stale because the site was empty
	swept    atomic.Bool // what a crash left beside the root index is removed
	made     atomic.Bool // a project's folder was made, by us or by who died before us, and its name may not be flushed
	waited   atomic.Bool // the root index has let one round pass for a page to come

	nPages, nFiles, nRoots, nFailures atomic.Int64

	passed func(point crash.Point, scope string) // for tests: called at each crash point; may be nil
}

// New makes a Publisher. It makes the folder and tries it: a site that cannot be
// written is an error here, not after the first build.
func New(cfg Config) (*Publisher, error) {
	if cfg.RootEvery <= 0 {
		cfg.RootEvery = time.Minute
	}
	if cfg.Rescan <= 0 {
		cfg.Rescan = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cfg.Log.With().Str("part", "publish").Logger()
	p := &Publisher{
		cfg: cfg, pages: make(chan struct{}, 1), root: make(chan struct{}, 1),
		patience: newPatience(cfg.Now), pace: pace{every: cfg.RootEvery},
	}
	if err := p.probe(); err != nil {
		return nil, fmt.Errorf("open site %s: %w; choose another with --site-dir", cfg.SiteDir, err)
	}
	p.disk = atomicfile.OpenDisk(p.simple())
	p.made.Store(true) // whoever made folders before us may have died before he flushed their names
	return p, nil
}

func (p *Publisher) probe() error {
	if err := os.MkdirAll(p.simple(), 0o755); err != nil {
		return err
	}
	probe := filepath.Join(p.cfg.SiteDir, ".probe")
	if err := atomicfile.WriteFile(probe, nil, 0o644); err != nil {
		return err
	}
	// Another process that opens the same site may have removed it already.
	if err := os.Remove(probe); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// simple is the root of the index.
func (p *Publisher) simple() string { return filepath.Join(p.cfg.SiteDir, "simple") }

// Counts tells what was done so far.
func (p *Publisher) Counts() Counts {
	return Counts{
		Pages: p.nPages.Load(), Files: p.nFiles.Load(), Roots: p.nRoots.Load(), Failures: p.nFailures.Load(),
	}
}

// Run writes pages as they become stale, until ctx ends. The root index has a
// loop of its own: a project's page never waits for it.
func (p *Publisher) Run(ctx context.Context) error {
	return service.RunAll(ctx,
		service.Part{Name: "listen", Run: func(ctx context.Context) error {
			return p.cfg.Store.Listen(ctx, store.StaleChannel, func(string) { wake(p.pages) })
		}},
		service.Part{Name: "pages", Run: service.Loop{
			Every: p.cfg.Rescan, Wake: p.pages, Log: p.cfg.Log, Do: p.writeStale,
		}.Run},
		service.Part{Name: "root index", Run: service.Loop{
			Every: p.cfg.Rescan, Wake: p.root, Log: p.cfg.Log, Do: p.writeStaleRoot,
		}.Run},
	)
}

// at names a point between two steps where a crash must be harmless.
func (p *Publisher) at(point crash.Point, scope string) {
	crash.At(point)
	if p.passed != nil {
		p.passed(point, scope)
	}
}

// wake never blocks: a loop that is to be woken already will see this change too.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
