package main

import (
	"context"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/desk"
	"pinwheel/internal/ingest"
)

// newDesk makes what answers monitors and operators.
func (m *Master) newDesk() *desk.Desk {
	return desk.New(desk.Config{Store: m.Store, Logs: m.Depot, Skip: m.skipFor, Tell: m.tell, Version: cli.Version(), Log: m.log})
}

// tell is for whoever watches. Events may be lost; the database is the truth.
func (m *Master) tell(e bus.Event) {
	e.At = m.now()
	_ = m.conn.Publish(e)
}

// skipFor is `skip` as an operator says it from afar: a target that the farm does not
// have is refused with those that it has.
func (m *Master) skipFor(ctx context.Context, s desk.Skip) (string, int64, error) {
	if err := knownTarget(ctx, m.Store, s.Target); err != nil {
		return "", 0, err
	}
	w := ingest.Word{Package: s.Package, Target: s.Target, Reason: s.Reason, Actor: s.Actor}
	if s.Version != "" {
		w.Versions = []string{s.Version}
	}
	told, err := m.Ingest.Skip(ctx, w)
	if err != nil {
		return "", 0, err
	}
	return "skip " + skipped(w.Package, w.Versions, w.Target) + ": " + toldWords(told), told.Audit, nil
}
