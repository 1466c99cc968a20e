package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nats-io/nats.go"
)

// SlaveEnd is the wire as a slave sees it. Its requests fail with ErrNobody when
// no master answers, with ErrRefused when one refuses, with the context's error
// when that ends; after each of them it may ask again, and should pause first.
type SlaveEnd struct {
	c    *Conn
	name string
}

// Slave speaks as the slave name; the server lets through only what the
// credentials of c allow, so it is usually c.Identity().Name.
func (c *Conn) Slave(name string) *SlaveEnd { return &SlaveEnd{c: c, name: name} }

// Name is the slave's name.
func (s *SlaveEnd) Name() string { return s.name }

// Hello says who the slave is and gets the farm's settings. It comes first,
// after each start and each reconnection.
func (s *SlaveEnd) Hello(ctx context.Context, m Hello) (Welcome, error) {
	m.Machine, m.OS = CutText(m.Machine, MaxText), CutText(m.OS, MaxText)
	return ask[Welcome](ctx, s, exchangeHello(), &m)
}

// Next waits for a job and returns with one, or without after about NextWait. A
// question that got no answer within five seconds is put again, unchanged: the
// master gives the same lease for the same Request.
func (s *SlaveEnd) Next(ctx context.Context, m Next) (NextReply, error) {
	for {
		reply, err := ask[NextReply](ctx, s, exchangeNext(), &m)
		if !errors.Is(err, errSilent) {
			return reply, err
		}
	}
}

// Beat renews the leases held and learns what to end.
func (s *SlaveEnd) Beat(ctx context.Context, m Beat) (BeatReply, error) {
	m.Doing, m.Machine, m.Unfit = CutText(m.Doing, MaxText), CutText(m.Machine, MaxText), CutText(m.Unfit, MaxText)
	m.Load, m.Temperature = finite(m.Load), finite(m.Temperature)
	return ask[BeatReply](ctx, s, exchangeBeat(), &m)
}

// Report tells how a build ended. Its free texts are cut to what is allowed, so
// that no build's output can keep its own report from being taken.
func (s *SlaveEnd) Report(ctx context.Context, m Report) (ReportReply, error) {
	m = cutReport(m)
	return ask[ReportReply](ctx, s, exchangeReport(), &m)
}

func cutReport(m Report) Report {
	m.Excerpt = CutText(m.Excerpt, MaxExcerpt)
	m.Failure.Detail = CutText(m.Failure.Detail, MaxText)
	m.Failure.Hint = CutText(m.Failure.Hint, MaxText)
	r := &m.Record
	for _, s := range []*string{&r.Sandbox, &r.PythonVer, &r.PipVer, &r.Compiler, &r.OS} {
		*s = CutText(*s, MaxText)
	}
	r.Seconds = finite(r.Seconds)
	r.Contacts = slices.Clone(r.Contacts)
	for i := range r.Contacts {
		k := &r.Contacts[i]
		k.Host, k.Why = CutText(k.Host, MaxText), CutText(k.Why, MaxText)
	}
	r.Libraries = slices.Clone(r.Libraries)
	for i := range r.Libraries {
		r.Libraries[i].SOName = CutText(r.Libraries[i].SOName, MaxText)
	}
	return fitReport(m)
}

// fitReport leaves out of a record what makes the report longer than a master takes:
// texts of a build that are written in JSON with escapes may be twice as long there.
func fitReport(m Report) Report {
	r := &m.Record
	for _, drop := range []func(){
		func() { r.Libraries = nil }, func() { r.Contacts = nil }, func() { r.ELF = nil },
		func() { r.Imports = nil }, func() { r.Requires = nil }, func() { m.LogData = nil }, // the log is then asked for
	} {
		if data, err := json.Marshal(m); err == nil && len(data) <= exchangeReport().maxBytes-1<<10 {
			break
		}
		drop()
	}
	return m
}

// finite stands for unknown what JSON cannot say.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// outgoing is a message of a slave: it is checked before it is sent as it will be
// when it arrives, where the mistake is easier to find.
type outgoing interface {
	stamped
	checked
}

func ask[R any](ctx context.Context, s *SlaveEnd, x exchange, m outgoing) (R, error) {
	if err := m.check(); err != nil {
		var none R
		return none, fmt.Errorf("%s: %w", x.kind, err)
	}
	return request[R](ctx, s.c, x, slaveSubject(s.name, x.kind), m)
}

// Log sends a piece of a build's log to whoever watches; a longer one goes in
// several messages. Losing it is harmless: the whole log is uploaded with the
// report.
func (s *SlaveEnd) Log(chunk LogChunk) error {
	for {
		part := chunk
		part.Data = chunk.Data[:min(len(chunk.Data), MaxLogChunk)]
		if err := s.c.publish(logSubject(s.name, chunk.Job), &part); err != nil {
			return err
		}
		chunk.Data = chunk.Data[len(part.Data):]
		chunk.Offset += int64(len(part.Data))
		chunk.Missed = 0
		if len(chunk.Data) == 0 {
			return nil
		}
	}
}

// OnControl calls f for each order, one after another. f must be quick and must
// not call stop, which waits for it.
func (s *SlaveEnd) OnControl(f func(Control)) (stop func(), err error) {
	return s.c.subscribe(slaveSubject(s.name, kindControl), "", func(msg *nats.Msg) {
		m, err := decode[Control](msg.Data, maxControl)
		if err != nil {
			s.c.log.Warn().Err(err).Str("subject", msg.Subject).Msg("order not understood")
			return
		}
		f(m)
	})
}
