// Package collect is the stage that takes what slaves bring. Input: reports on
// the bus and files by HTTP. Output: the end of a build in the database, and a
// stale page for publish. It owns the tokens that an upload needs. The order is
// file, then row: a crash in between leaves a file that no row names, which
// harms nobody, and the slave reports again. It believes nothing that it did not
// verify itself, and never writes a page.
package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
	"pinwheel/internal/wheel"
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
}

// Config says what collect works with.
type Config struct {
	Store *store.Store
	Depot Depot
	HTTP  string // base URL under which Upload is mounted
	Key   []byte // signs upload tokens; the same for every master of a farm
	Log   zerolog.Logger
	Tell  func(bus.Event)           // whoever watches; may be nil
	Abort func(slave, token string) // tells a slave that its work became useless; may be nil
}

// Collector takes reports. Register Report on the bus and mount Upload.
type Collector struct {
	cfg       Config
	verifying chan struct{} // bounds how many wheels are verified at once
}

// New makes a collector.
func New(cfg Config) *Collector {
	cfg.Log = cfg.Log.With().Str("part", "collect").Logger()
	return &Collector{cfg: cfg, verifying: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

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
	slave, err := c.cfg.Store.Slave(ctx, name)
	if err != nil {
		return bus.ReportReply{}, err
	}
	issued, err := c.cfg.Store.Issued(ctx, slave.ID, r.Token)
	if errors.Is(err, farm.ErrNotFound) {
		// Never issued to this slave, or its job is gone: there is nothing that
		// this work could become, so the slave may forget it.
		return bus.ReportReply{Accepted: true, Reason: "no such lease"}, nil
	}
	if err != nil {
		return bus.ReportReply{}, err
	}
	if issued.Ended {
		return bus.ReportReply{Accepted: true, Reason: "reported before"}, nil
	}
	rep := &reported{Collector: c, slave: slave, issued: issued, msg: r}
	if r.Outcome == farm.OutcomeBuilt && issued.Counts() {
		return rep.built(ctx)
	}
	return rep.failed(ctx)
}

// reported is one report on its way through.
type reported struct {
	*Collector
	slave  store.SlaveRow
	issued store.Issued
	msg    bus.Report
}

func (r *reported) ending(f farm.Failure) store.Ending {
	return store.Ending{
		Slave: r.slave.ID, Token: r.msg.Token, Failure: trim(f), Excerpt: plain(r.msg.Excerpt, maxExcerpt),
		Log: r.msg.Log, Record: r.msg.Record,
	}
}

// failed takes a failure, with its log.
func (r *reported) failed(ctx context.Context) (bus.ReportReply, error) {
	need, err := r.need(r.logs())
	if err != nil || len(need) > 0 {
		return bus.ReportReply{Need: need}, err
	}
	return r.fail(ctx, r.ending(believable(r.msg)))
}

func (r *reported) fail(ctx context.Context, e store.Ending) (bus.ReportReply, error) {
	res, err := r.cfg.Store.FinishFailed(ctx, e)
	if err != nil {
		return bus.ReportReply{}, err
	}
	r.tell("failed", res, string(e.Failure.Cause)+" "+e.Failure.Detail)
	return bus.ReportReply{Accepted: true, Reason: res.Why}, nil
}

// built takes a success: the files first, then the verification, then the rows.
func (r *reported) built(ctx context.Context) (bus.ReportReply, error) {
	if len(r.msg.Wheels) != 1 {
		return r.reject(ctx, fmt.Sprintf("%d wheels in the report, want one", len(r.msg.Wheels)), nil)
	}
	file := r.msg.Wheels[0]
	if file.Size > MaxWheel {
		return r.reject(ctx, fmt.Sprintf("%d bytes, the farm takes up to %d", file.Size, int64(MaxWheel)), nil)
	}
	need, err := r.need(append(r.logs(), file))
	if err != nil || len(need) > 0 {
		return bus.ReportReply{Need: need}, err
	}
	report, err := r.verify(ctx, file)
	if err != nil {
		return bus.ReportReply{}, err
	}
	if !report.Accepted {
		return r.reject(ctx, firstError(report.Findings), report.Findings)
	}
	return r.publish(ctx, file, report)
}

func (r *reported) publish(ctx context.Context, file farm.File, report wheel.Report) (bus.ReportReply, error) {
	e := r.ending(farm.Failure{})
	e.Findings = report.Findings
	res, err := r.cfg.Store.FinishBuilt(ctx, e, store.NewWheel{
		File: file, MetadataSHA256: sum(report.MetadataBytes), Metadata: report.MetadataBytes,
		RequiresPython: report.Metadata.RequiresPython, Tags: report.Tags,
	})
	if errors.Is(err, farm.ErrConflict) {
		return r.reject(ctx, "the file name "+file.Name+" was published before", nil)
	}
	if err != nil {
		return bus.ReportReply{}, err
	}
	if res.Abort != "" && r.cfg.Abort != nil {
		r.cfg.Abort(r.slave.Name, res.Abort)
	}
	r.tell("built", res, file.Name)
	return bus.ReportReply{Accepted: true, Reason: res.Why}, nil
}

// reject ends the job as rejected. The slave's work is done all the same: the
// reply says accepted, and why nothing was published.
func (r *reported) reject(ctx context.Context, why string, findings []wheel.Finding) (bus.ReportReply, error) {
	// The log may still be missing when the report itself is nonsense; the end
	// of the build is worth more than its log.
	need, err := r.need(r.logs())
	if err != nil || len(need) > 0 {
		return bus.ReportReply{Need: need}, err
	}
	e := r.ending(farm.Failure{Cause: farm.Rejected, Detail: why})
	if findings != nil {
		e.Findings = findings
	}
	reply, err := r.fail(ctx, e)
	reply.Reason = "rejected: " + why
	return reply, err
}

// verify opens the file in the depot and checks it against the job.
func (r *reported) verify(ctx context.Context, file farm.File) (wheel.Report, error) {
	select {
	case r.verifying <- struct{}{}:
		defer func() { <-r.verifying }()
	case <-ctx.Done():
		return wheel.Report{}, ctx.Err()
	}
	version, err := pep.ParseVersion(r.issued.Version)
	if err != nil {
		return wheel.Report{}, fmt.Errorf("job %d: %w", r.issued.Job, err)
	}
	ra, closer, err := r.cfg.Depot.Reader(file.SHA256)
	if err != nil {
		return wheel.Report{}, err
	}
	defer closer.Close()
	return wheel.Verify(ctx, ra, file.Size, file.Name, wheel.Expect{
		Name: r.issued.Package, Version: version, Target: r.issued.Target,
	})
}

// need lists the files that the depot lacks, each with a token to bring it.
func (r *reported) need(files []farm.File) ([]bus.Need, error) {
	var need []bus.Need
	for _, f := range files {
		have, err := r.cfg.Depot.Has(f.SHA256, f.Size)
		if err != nil {
			return nil, err
		}
		if !have {
			need = append(need, bus.Need{
				SHA256: f.SHA256, URL: r.cfg.HTTP + UploadPath + f.SHA256, Token: r.sign(r.msg.Token, f),
			})
		}
	}
	return need, nil
}

// logs is the report's log as a list of none or one.
func (r *reported) logs() []farm.File {
	if r.msg.Log.SHA256 == "" || r.msg.Log.Size == 0 || r.msg.Log.Size > MaxLog {
		r.msg.Log = farm.File{}
		return nil
	}
	return []farm.File{r.msg.Log}
}

func (r *reported) tell(kind string, res store.Result, detail string) {
	if !res.Counted {
		r.cfg.Log.Warn().Str("slave", r.slave.Name).Int64("job", r.issued.Job).Str("why", res.Why).Msg("report did not count")
		return
	}
	r.cfg.Log.Info().Str("slave", r.slave.Name).Int64("job", r.issued.Job).Str("package", r.issued.Package).
		Str("version", r.issued.Version).Str("target", r.issued.Target.String()).Str("state", string(res.State)).
		Str("detail", detail).Msg("job " + kind)
	if r.cfg.Tell != nil {
		r.cfg.Tell(bus.Event{Kind: kind, Package: r.issued.Package, Version: r.issued.Version,
			Target: r.issued.Target.String(), Slave: r.slave.Name, Detail: detail})
	}
}
