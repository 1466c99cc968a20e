package desk

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// LogPart is a piece of a build's log.
func (d *Desk) LogPart(ctx context.Context, who bus.Asker, m bus.LogAsk) bus.LogPart {
	part, err := d.logPart(ctx, who, m)
	if err != nil {
		return bus.LogPart{Error: d.refused(who, "log", err)}
	}
	return part
}

func (d *Desk) logPart(ctx context.Context, who bus.Asker, m bus.LogAsk) (bus.LogPart, error) {
	var none bus.LogPart
	if err := d.admit(ctx, who); err != nil {
		return none, err
	}
	b, err := d.cfg.Store.Build(ctx, m.Build)
	if errors.Is(err, farm.ErrNotFound) {
		err = fmt.Errorf("there is no build %d", m.Build)
	}
	if err != nil {
		return none, err
	}
	part := bus.LogPart{
		Build: b.ID, Job: b.Job, Package: b.Package, Version: b.Version, Target: b.Target, Slave: b.Slave,
		Outcome: b.Outcome, Cause: farm.Cause(b.Cause), Detail: short(b.Detail), Hint: short(b.Hint),
	}
	if b.Outcome == "" || b.LogSHA256 == "" {
		return part, nil
	}
	f, err := d.cfg.Logs.Open(b.LogSHA256)
	if err != nil {
		return none, fmt.Errorf("open the log of build %d: %w", b.ID, err)
	}
	defer f.Close()
	part.Data, part.More, err = piece(buildlog.Text(ctx, f), m.Offset)
	if err != nil {
		return none, fmt.Errorf("read the log of build %d: %w", b.ID, err)
	}
	return part, nil
}

// piece reads on from an offset. A log that ends before it has no more.
func piece(text io.Reader, offset int64) (data []byte, more bool, err error) {
	if _, err := io.CopyN(io.Discard, text, offset); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return nil, false, err
	}
	data, err = io.ReadAll(io.LimitReader(text, bus.MaxLogPart+1))
	if err != nil {
		return nil, false, err
	}
	if len(data) > bus.MaxLogPart {
		return data[:bus.MaxLogPart], true, nil
	}
	return data, false, nil
}
