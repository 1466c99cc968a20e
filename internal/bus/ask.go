package bus

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"pinwheel/internal/farm"
)

// Bounds of what is asked and answered.
const (
	// MaxLogPart is how much of a log one answer brings: less than a message holds as
	// base64, and little enough for a slow line.
	MaxLogPart = 256 << 10 // bytes of LogPart.Data

	maxReason = 500 // bytes of Steer.Reason
)

// Asker is who asks: a monitor or an operator, as its credentials prove.
type Asker struct {
	Role farm.Role
	Name string
}

// askSubject is where it asks: its name stands on the subject, so that the server
// vouches for it, and answers go to its own inbox and nowhere else.
func askSubject(role farm.Role, name, kind string) string {
	return root + "ask." + string(role) + "." + name + "." + kind
}

// steerSubject is where an operator steers. It is denied by name to the credentials of
// monitors, those too that were made when monitors might ask under any subject.
func steerSubject(name string) string { return root + "ask." + kindControl + "." + name }

// askerOf reads who asks off a subject.
func askerOf(subject string) (Asker, error) {
	parts := strings.Split(subject, ".")
	var a Asker
	switch {
	case len(parts) == 6 && parts[2] == "ask":
		a = Asker{Role: farm.Role(parts[3]), Name: parts[4]}
	case len(parts) == 5 && parts[2] == "ask" && parts[3] == kindControl:
		a = Asker{Role: farm.RoleOperator, Name: parts[4]}
	}
	if a.Role != farm.RoleMonitor && a.Role != farm.RoleOperator {
		return a, fmt.Errorf("subject %q is of no monitor and of no operator", subject)
	}
	return a, farm.CheckSlaveName(a.Name)
}

// askers are the subjects of all who ask one kind of question.
func askers(subject string) side[Asker] {
	return side[Asker]{subject: subject, of: func(subject string) (Asker, string, string, error) {
		a, err := askerOf(subject)
		return a, a.Name, inbox(a.Role, a.Name), err
	}}
}

// HandleLook answers who looks at the farm.
func (c *Conn) HandleLook(f func(ctx context.Context, who Asker, m Look) Snapshot) (stop func(), err error) {
	return handle(c, exchangeLook(), askers(askSubject("*", "*", kindSnapshot)), f)
}

// HandleLog answers who asks for a log.
func (c *Conn) HandleLog(f func(ctx context.Context, who Asker, m LogAsk) LogPart) (stop func(), err error) {
	return handle(c, exchangeLog(), askers(askSubject("*", "*", kindLog)), f)
}

// HandleSteer does what operators want.
func (c *Conn) HandleSteer(f func(ctx context.Context, who Asker, m Steer) Steered) (stop func(), err error) {
	return handle(c, exchangeSteer(), askers(steerSubject("*")), f)
}

// AskEnd is the wire as a monitor or an operator sees it. Its errors are those of
// SlaveEnd.
type AskEnd struct{ c *Conn }

// Ask asks as whom the credentials of c are.
func (c *Conn) Ask() AskEnd { return AskEnd{c} }

// Snapshot looks at the farm.
func (e AskEnd) Snapshot(ctx context.Context) (Snapshot, error) {
	id := e.c.id
	return request[Snapshot](ctx, e.c, exchangeLook(), askSubject(id.Role, id.Name, kindSnapshot), &Look{})
}

// Log asks for a piece of a log.
func (e AskEnd) Log(ctx context.Context, build, offset int64) (LogPart, error) {
	id := e.c.id
	return request[LogPart](ctx, e.c, exchangeLog(), askSubject(id.Role, id.Name, kindLog), &LogAsk{Build: build, Offset: offset})
}

// Steer has something done.
func (e AskEnd) Steer(ctx context.Context, m Steer) (Steered, error) {
	if err := m.check(); err != nil {
		return Steered{}, fmt.Errorf("steer: %w", err)
	}
	return request[Steered](ctx, e.c, exchangeSteer(), steerSubject(e.c.id.Name), &m)
}

func (m Look) check() error { return nil }

func (m LogAsk) check() error {
	var c checker
	c.want(m.Build > 0, "build %d: want a number above 0", m.Build)
	c.size("offset", m.Offset)
	return c.err
}

func (m Steer) check() error {
	var c checker
	switch m.Do {
	case SteerPause, SteerResume, SteerAbort, SteerQuit:
		err := farm.CheckSlaveName(m.Slave)
		c.want(err == nil, "%v", err)
	case SteerRequeue:
		c.want(m.Package != "" || m.Cause != "", "requeue: want a package or a cause")
		c.want(m.Cause == "" || m.Cause.Valid(), "cause %.40q is not known", m.Cause)
	case SteerPriority:
		c.word("package", m.Package)
		c.want(m.Priority != 0, "priority: want one")
	case SteerSkip:
		c.word("package", m.Package)
		c.want(strings.TrimSpace(m.Reason) != "", "skip: want a reason")
	default:
		c.want(false, "%.40q is nothing that can be done", m.Do)
	}
	for field, s := range map[string]string{"package": m.Package, "version": m.Version, "target": m.Target} {
		c.want(s == "" || isWord(s), "%s %.40q: want up to %d printable characters", field, s, maxWord)
	}
	c.text("reason", m.Reason, maxReason)
	c.want(!strings.ContainsFunc(m.Reason, unicode.IsControl), "the reason holds control characters")
	return c.err
}
