package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// Steer does what an operator wants, under its name. The server lets nobody else speak
// where this is heard; that the farm enrolled it as an operator is looked at again.
func (d *Desk) Steer(ctx context.Context, who bus.Asker, m bus.Steer) bus.Steered {
	if who.Role != farm.RoleOperator {
		return bus.Steered{Error: d.refused(who, m.Do, fmt.Errorf("%s %s may look, and not steer", who.Role, who.Name))}
	}
	if err := d.admit(ctx, who); err != nil {
		return bus.Steered{Error: d.refused(who, m.Do, err)}
	}
	m.Package = pep.NormalizeName(m.Package)
	said, audit, err := d.do(ctx, m, actor(who))
	if err != nil {
		return bus.Steered{Error: d.refused(who, m.Do, err)}
	}
	d.cfg.Log.Info().Str("who", who.Name).Str("order", m.Do).Msg(said)
	if d.cfg.Tell != nil {
		d.cfg.Tell(bus.Event{Kind: m.Do, Package: m.Package, Version: m.Version, Target: m.Target, Slave: m.Slave, Detail: who.Name + ": " + said})
	}
	return bus.Steered{Said: said, Audit: audit}
}

// actor is who stands in the audit trail: a name of the farm, and no user of a machine.
func actor(who bus.Asker) string { return string(who.Role) + " " + who.Name }

func (d *Desk) do(ctx context.Context, m bus.Steer, by string) (said string, audit int64, err error) {
	switch st := d.cfg.Store; m.Do {
	case bus.SteerPause:
		return m.Slave + " is paused", 0, unknown(st.PauseSlave(ctx, m.Slave, "", by), m.Slave)
	case bus.SteerResume:
		return m.Slave + " gets jobs again", 0, unknown(st.ResumeSlave(ctx, m.Slave, by), m.Slave)
	case bus.SteerQuit:
		return m.Slave + " was told to end", 0, unknown(st.QuitSlave(ctx, m.Slave, by), m.Slave)
	case bus.SteerAbort:
		f, ok, err := st.AbortSlave(ctx, m.Slave, by)
		if err == nil && !ok {
			err = fmt.Errorf("%s builds nothing now", m.Slave)
		}
		return fmt.Sprintf("%s %s %s: queued", f.Package, f.Version, f.Target), 0, unknown(err, m.Slave)
	case bus.SteerSkip:
		return d.cfg.Skip(ctx, Skip{Package: m.Package, Version: m.Version, Target: m.Target, Reason: m.Reason, Actor: by})
	case bus.SteerRequeue, bus.SteerPriority:
		return d.requeue(ctx, m, by)
	}
	return "", 0, fmt.Errorf("%q is nothing that can be done", m.Do)
}

// requeue tries failed jobs again, or puts queued ones elsewhere in the queue.
func (d *Desk) requeue(ctx context.Context, m bus.Steer, by string) (string, int64, error) {
	w := store.Requeue{
		Selector: store.Selector{Package: m.Package, Version: m.Version, Target: m.Target, Cause: m.Cause, Failed: m.Do == bus.SteerRequeue},
		Queued:   m.Do == bus.SteerPriority, Priority: m.Priority, Actor: by, Words: words(m),
	}
	got, err := d.cfg.Store.Requeue(ctx, w)
	if err != nil {
		return "", 0, err
	}
	if got.Jobs == 0 {
		var why []string
		for _, l := range got.Left {
			why = append(why, fmt.Sprintf("%d left alone: %s", l.Jobs, l.Reason))
		}
		state := map[bool]string{true: "queued", false: "failed"}[w.Queued]
		return "", 0, errors.New(strings.Join(append([]string{"no such job is " + state}, why...), "; "))
	}
	what := map[bool]string{true: "queued as " + m.Priority.Word(), false: "queued again"}[w.Queued]
	if got.Jobs == 1 {
		return "1 job is " + what, got.Audit, nil
	}
	return fmt.Sprintf("%d jobs are %s", got.Jobs, what), got.Audit, nil
}

// words are the wish as `master requeue` would be told it.
func words(m bus.Steer) string {
	var list []string
	for _, w := range [][2]string{{"--package", m.Package}, {"--version", m.Version}, {"--target", m.Target}, {"--cause", string(m.Cause)}} {
		if w[1] != "" {
			list = append(list, w[0]+" "+w[1])
		}
	}
	if m.Priority != 0 {
		list = append(list, "--priority "+m.Priority.Word())
	}
	return strings.Join(list, " ")
}

func unknown(err error, name string) error {
	if errors.Is(err, farm.ErrNotFound) {
		return fmt.Errorf("no slave %s is enrolled", name)
	}
	return err
}
