package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"pinwheel/internal/bus"
	"pinwheel/internal/crash"
	"pinwheel/internal/elffile"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/wheel"
)

// reported is one report on its way through. What it says is cut to what could be
// true, and verified where it matters.
type reported struct {
	*Collector
	slave  string
	issued store.Issued
	msg    bus.Report
	inside bool // the log is in the report
}

// failed takes a failure, with its log. It takes a success that can not count any
// more in the same way: what is left to do is to end its row.
func (r *reported) failed(ctx context.Context) (bus.ReportReply, error) {
	need, err := r.needLog()
	if err != nil || len(need) > 0 {
		return bus.ReportReply{Need: need}, err
	}
	return r.fail(ctx, r.ending(r.why()))
}

// lookInside says whether the log came in the report itself. One that is not what it is
// said to be is asked for like any other.
func (r *reported) lookInside() {
	data, log := r.msg.LogData, r.msg.Log
	if len(data) == 0 || log == (farm.File{}) {
		return
	}
	if r.inside = int64(len(data)) == log.Size && sum(data) == log.SHA256; !r.inside {
		r.cfg.Log.Warn().Str("slave", r.slave).Int64("job", r.msg.Job).Msg("the log in a report is another one")
	}
}

// keepLog stores a log that came in the report, as an upload would be: file, then row.
// Not before all else is there and judged: one lease may be reported as often as a slave
// likes, each time with other bytes, and it is worth one log.
func (r *reported) keepLog(ctx context.Context) error {
	if !r.inside {
		return nil
	}
	if err := r.named.take(r.msg.Token, r.msg.Log.SHA256); err != nil {
		return err
	}
	err := r.cfg.Depot.Put(ctx, bytes.NewReader(r.msg.LogData), r.msg.Log)
	if err == nil {
		crash.At(crash.CollectStored)
	}
	return err
}

// why is the failure by the farm's own rules: those of the slave may be older.
func (r *reported) why() farm.Failure {
	if r.msg.Outcome != farm.OutcomeFailed {
		return r.msg.Failure
	}
	if why := r.otherSource(); why != "" {
		return farm.Failure{Cause: farm.UpstreamFault, Detail: line(why)}
	}
	return r.cfg.Rules().Judge(r.msg.Failure, r.msg.Record.CauseFrom, r.msg.Excerpt)
}

func (r *reported) ending(f farm.Failure) store.Ending {
	return store.Ending{
		Slave: r.issued.Slave, Token: r.msg.Token, Failure: f, Excerpt: r.msg.Excerpt, Log: r.msg.Log, Record: r.msg.Record,
		Faults: r.issued.Faults, Retry: r.cfg.Retry,
	}
}

// fail ends the build as a failure. One that cannot count, for its lease is not current,
// has no log to keep.
func (r *reported) fail(ctx context.Context, e store.Ending) (bus.ReportReply, error) {
	if !r.issued.Current {
		e.Log = farm.File{}
	} else if err := r.keepLog(ctx); err != nil {
		return bus.ReportReply{}, err
	}
	res, err := r.cfg.Store.FinishFailed(ctx, e)
	if err != nil {
		return bus.ReportReply{}, err
	}
	// The commit comes before the answer, which is what stops the repeats.
	crash.At(crash.CollectFailed)
	r.named.forget(r.msg.Token)
	if res.Paused != "" {
		r.cfg.Log.Error().Str("slave", r.slave).Str("why", res.Paused).
			Msg("slave paused; `master slaves resume` gives it jobs again")
	}
	r.tell(res, string(e.Failure.Cause)+" "+e.Failure.Detail)
	return bus.ReportReply{Accepted: true, Reason: res.Why}, nil
}

// built takes a success: the files first, then the verification, then the rows.
func (r *reported) built(ctx context.Context) (bus.ReportReply, error) {
	if why := refusedUnseen(r.msg.Wheels); why != "" {
		return r.reject(ctx, why, nil)
	}
	file := r.msg.Wheels[0]
	files := append(r.logs(), file)
	need, err := r.need(files)
	if err != nil || len(need) > 0 {
		return bus.ReportReply{Need: need}, err
	}
	report, err := r.checks.result(ctx, r.check(file))
	if err != nil {
		return bus.ReportReply{}, err
	}
	if report.SHA256 != file.SHA256 {
		return r.damaged(file, report.SHA256)
	}
	var reply bus.ReportReply
	if report.Accepted {
		reply, err = r.publish(ctx, file, report)
	} else {
		reply, err = r.reject(ctx, firstError(report.Findings), report.Findings)
	}
	if reply.Accepted {
		r.checks.forget(r.msg.Token)
	}
	return reply, err
}

// damaged asks again for a file whose bytes in the depot are no longer those of
// its name. The slave still has it; a refusal would blame the package.
func (r *reported) damaged(file farm.File, found string) (bus.ReportReply, error) {
	r.cfg.Log.Error().Str("sha256", file.SHA256).Str("found", found).Msg("damaged file in the depot, asked for again")
	r.checks.forget(r.msg.Token)
	if err := r.cfg.Depot.Remove(file.SHA256); err != nil {
		return bus.ReportReply{}, err
	}
	need, err := r.need([]farm.File{file})
	return bus.ReportReply{Need: need}, err
}

func (r *reported) publish(ctx context.Context, file farm.File, report wheel.Report) (bus.ReportReply, error) {
	crash.At(crash.CollectVerified)
	targets, err := r.cfg.Store.AllTargets(ctx)
	if err != nil {
		return bus.ReportReply{}, err
	}
	e := r.ending(farm.Failure{})
	e.Findings = report.Findings
	e.Record.ELF = elffile.Trim(report.ELF)
	if err := r.keepLog(ctx); err != nil {
		return bus.ReportReply{}, err
	}
	res, err := r.cfg.Store.FinishBuilt(ctx, e, store.NewWheel{
		File: file, MetadataSHA256: sum(report.MetadataBytes), Metadata: report.MetadataBytes,
		RequiresPython: report.Metadata.RequiresPython, Tags: report.Tags,
		Covers: covers(targets, r.issued.Target, report),
	})
	if errors.Is(err, farm.ErrConflict) {
		return r.reject(ctx, "the file name "+file.Name+" was published before", nil)
	}
	if err != nil {
		return bus.ReportReply{}, err
	}
	// From here on nothing can be lost: what follows only saves others work.
	crash.At(crash.CollectCommitted)
	r.named.forget(r.msg.Token)
	if report.ARMv6 != nil {
		wake(r.copies)
	}
	if res.Abort != "" && r.cfg.Abort != nil {
		r.cfg.Abort(res.Holder, res.Abort)
	}
	r.tell(res, file.Name)
	return bus.ReportReply{Accepted: true, Reason: res.Why}, nil
}

// reject ends the job as rejected, with its log. The slave's work is done all the
// same: the reply says accepted, and why nothing was published.
func (r *reported) reject(ctx context.Context, why string, findings []wheel.Finding) (bus.ReportReply, error) {
	need, err := r.needLog()
	if err != nil || len(need) > 0 {
		return bus.ReportReply{Need: need}, err
	}
	e := r.ending(farm.Failure{Cause: farm.Rejected, Detail: line(why)})
	if findings != nil {
		e.Findings = findings
	}
	reply, err := r.fail(ctx, e)
	if err == nil {
		reply.Reason = "rejected: " + why
	}
	return reply, err
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
			if err := r.named.take(r.msg.Token, f.SHA256); err != nil {
				return nil, err
			}
			need = append(need, bus.Need{
				SHA256: f.SHA256, URL: r.cfg.HTTP + UploadPath + f.SHA256, Token: r.sign(r.msg.Token, f),
			})
		}
	}
	if len(need) > 0 {
		crash.At(crash.CollectNeeded)
	}
	return need, nil
}

// needLog is need for the log of a failure, if it counts.
func (r *reported) needLog() ([]bus.Need, error) {
	if !r.issued.Current {
		return nil, nil
	}
	return r.need(r.logs())
}

// logs is the report's log as a list of none or one: none if it came with it.
func (r *reported) logs() []farm.File {
	if r.inside || r.msg.Log == (farm.File{}) {
		return nil
	}
	return []farm.File{r.msg.Log}
}

// tell says what a report came to, to the log and to whoever watches.
func (r *reported) tell(res store.Result, detail string) {
	log := r.cfg.Log.With().Str("slave", r.slave).Int64("job", r.issued.Job).Str("package", r.issued.Package).
		Str("version", r.issued.Version).Str("target", r.issued.Target.String()).Logger()
	if !res.Counted {
		log.Warn().Str("why", res.Why).Msg("report did not count")
		return
	}
	log.Info().Str("state", string(res.State)).Str("detail", detail).Msg("build ended")
	if r.cfg.Tell != nil {
		r.cfg.Tell(bus.Event{Kind: string(res.State), Package: r.issued.Package, Version: r.issued.Version,
			Target: r.issued.Target.String(), Slave: r.slave, Detail: detail})
	}
}

func (r *reported) check(file farm.File) check {
	return check{token: r.msg.Token, file: file, run: func(ctx context.Context) (wheel.Report, error) {
		return r.verifyJob(ctx, file, r.issued)
	}}
}

func firstError(findings []wheel.Finding) string {
	for _, f := range findings {
		if f.Severity == wheel.Error {
			return f.Message
		}
	}
	return fmt.Sprintf("not accepted, with %d findings", len(findings))
}
