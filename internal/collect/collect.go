// Package collect is the stage that takes what slaves bring. Input: reports on
// the bus and files by HTTP. Output: the end of a build in the database, and a
// stale page for publish. It owns the tokens that an upload needs. The order is
// file, then row: a crash in between leaves a file that no row names, which
// harms nobody, and the slave reports again. It believes nothing that it did not
// verify itself, says accepted only after the commit, and never writes a page.
package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Limits of what one report may bring, in bytes.
const (
	MaxWheel = 2 << 30
	MaxLog   = 128 << 20
)

// Depot keeps files by their SHA-256.
type Depot interface {
	// Put reads exactly want.Size bytes with want.SHA256 or keeps nothing.
	Put(ctx context.Context, r io.Reader, want farm.File) error
	// Has says whether a file of this hash and size is there, whole.
	Has(sha256 string, size int64) (bool, error)
	// Reader opens a file; the closer must be called.
	Reader(sha256 string) (io.ReaderAt, io.Closer, error)
	// Remove takes a damaged file away, so that it is asked for again.
	Remove(sha256 string) error
}

// Config says what collect works with.
type Config struct {
	Store   *store.Store
	Depot   Depot
	HTTP    string // base URL under which Upload is mounted
	Scratch string // folder for large files while they are read; "" is the system's
	Key     []byte // signs upload tokens; the same for every master of a farm
	Log     zerolog.Logger
	Rules   func() *farm.Rules        // by which failures are told; nil: the built-in ones
	Now     func() time.Time          // of upload tokens; nil: the clock of the database, which all masters share
	Tell    func(bus.Event)           // whoever watches; may be nil
	Abort   func(slave, token string) // tells a slave that its work became useless; may be nil
	Retry   farm.RetryPolicy          // zero: the defaults
}

// Collector takes reports. Register Report on the bus, mount Upload, and Close it
// when both have ended.
type Collector struct {
	cfg    Config
	checks *checks
	named  named
	stall  time.Duration // of an upload
	copies chan struct{} // wakes whoever makes copies for armv6l
}

// New makes a collector.
func New(cfg Config) *Collector {
	cfg.Log = cfg.Log.With().Str("part", "collect").Logger()
	if cfg.Now == nil {
		cfg.Now = newSharedClock(cfg.Store.Now).now
	}
	if cfg.Rules == nil {
		cfg.Rules = farm.DefaultRules
	}
	return &Collector{cfg: cfg, checks: newChecks(runtime.GOMAXPROCS(0)), stall: stall, copies: make(chan struct{}, 1)}
}

// Close ends the verifications that no report waits for any more.
func (c *Collector) Close() { c.checks.close() }

// Report takes the end of a build. It may be repeated at will: the answer is
// accepted once what it says is in the database, or can never count.
func (c *Collector) Report(ctx context.Context, name string, r bus.Report) bus.ReportReply {
	reply, err := c.report(ctx, name, r)
	if err != nil {
		c.cfg.Log.Error().Err(err).Str("slave", name).Int64("job", r.Job).Msg("report not taken")
		return bus.ReportReply{Error: err.Error()}
	}
	return reply
}

func (c *Collector) report(ctx context.Context, name string, r bus.Report) (bus.ReportReply, error) {
	issued, err := c.cfg.Store.IssuedTo(ctx, name, r.Token)
	if errors.Is(err, farm.ErrNotFound) || err == nil && issued.Job != r.Job {
		return c.unissued(ctx, name, r)
	}
	if err == nil && issued.Revoked {
		err = errRevoked(name)
	}
	if err != nil {
		return bus.ReportReply{}, err
	}
	if issued.Ended {
		return bus.ReportReply{Accepted: true, Reason: "reported before"}, nil
	}
	rep := &reported{Collector: c, slave: name, issued: issued, msg: believable(r)}
	rep.lookInside()
	if r.Outcome == farm.OutcomeBuilt && issued.Counts() {
		if why := rep.otherSource(); why != "" {
			return rep.refuseSource(ctx, why)
		}
		return rep.built(ctx)
	}
	return rep.failed(ctx)
}

// unissued answers a report without a lease. Never issued to this slave for this
// job, or its job is gone: there is nothing that this work could become, so the
// slave may forget it.
func (c *Collector) unissued(ctx context.Context, name string, r bus.Report) (bus.ReportReply, error) {
	slave, err := c.cfg.Store.Slave(ctx, name)
	if err == nil && slave.Revoked {
		err = errRevoked(name)
	}
	if err != nil {
		return bus.ReportReply{}, err
	}
	c.cfg.Log.Warn().Str("slave", name).Int64("job", r.Job).Msg("report without a lease")
	return bus.ReportReply{Accepted: true, Reason: "no such lease"}, nil
}

func errRevoked(name string) error { return fmt.Errorf("slave %s was revoked", name) }
