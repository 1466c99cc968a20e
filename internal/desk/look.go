package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// The bounds of a snapshot, which must fit into a message, and how old its parts may
// be; those that take long to read may be older (patience).
const (
	mostSlaves   = 600
	mostBuilds   = 400
	mostFailures = 20
	mostNext     = 10
	longestText  = 120 // bytes

	glanceLife = time.Second
)

// Look is the farm as it is, or was a moment ago.
func (d *Desk) Look(ctx context.Context, who bus.Asker, _ bus.Look) bus.Snapshot {
	s, err := d.snapshot(ctx, who)
	if err != nil {
		return bus.Snapshot{Error: d.refused(who, "look", err)}
	}
	return s
}

func (d *Desk) snapshot(ctx context.Context, who bus.Asker) (bus.Snapshot, error) {
	var none bus.Snapshot
	if err := d.admit(ctx, who); err != nil {
		return none, err
	}
	status, err := d.status.get(ctx, glanceLife, d.cfg.Store.Status)
	if err != nil {
		return none, err
	}
	glance, err := d.glance.get(ctx, glanceLife, func(ctx context.Context) (store.Glance, error) {
		return d.cfg.Store.Glance(ctx, mostBuilds, mostNext)
	})
	if err != nil {
		return none, err
	}
	failures, err := d.failures.get(ctx, glanceLife, func(ctx context.Context) (store.Failures, error) {
		return d.cfg.Store.Failures(ctx, store.Selector{}, mostFailures)
	})
	if err != nil {
		return none, err
	}
	s := bus.Snapshot{
		At: glance.At, Version: d.cfg.Version,
		Packages: status.Packages, Releases: status.Releases, Wheels: status.Wheels, WheelBytes: status.WheelBytes,
		NotYet: status.NotYet, Counted: status.Counted,
		Targets: targets(status, glance), Builds: builds(glance), Failures: groups(failures),
		Pace:    pace(glance.Ends),
		Ingest:  upstream(status.UpstreamStatus),
		Publish: bus.PublishNow{Pages: glance.Unwritten, Oldest: seconds(glance.Oldest)},
	}
	var more int64
	s.Slaves, more = slaves(status.Slaves)
	s.Left = more + glance.More + failures.Others
	return fitted(s), nil
}

// fitted leaves out of a snapshot what would make it longer than a message: the bounds
// of its lists are for texts that are not written in JSON with escapes.
func fitted(s bus.Snapshot) bus.Snapshot {
	for len(s.Slaves)+len(s.Builds) > 50 {
		if data, err := json.Marshal(s); err == nil && len(data) < bus.MaxMessage-1<<12 {
			break
		}
		all := len(s.Slaves) + len(s.Builds)
		s.Slaves, s.Builds = s.Slaves[:len(s.Slaves)*3/4], s.Builds[:len(s.Builds)*3/4]
		s.Left += int64(all - len(s.Slaves) - len(s.Builds))
	}
	return s
}

func targets(status store.Status, glance store.Glance) []bus.TargetNow {
	list := []bus.TargetNow{}
	for name, jobs := range status.Jobs {
		t := bus.TargetNow{Target: name, Jobs: jobs, Next: []bus.QueuedNow{}}
		for _, j := range glance.Next[name] {
			t.Next = append(t.Next, bus.QueuedNow{Package: j.Package, Version: j.Version, Priority: j.Priority, Since: j.Since})
		}
		for _, u := range status.Unserved {
			if u.Target == name {
				t.Unserved += u.Jobs
			}
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b bus.TargetNow) int {
		return cmp.Or(cmp.Compare(rank(a.Target), rank(b.Target)), cmp.Compare(a.Target, b.Target))
	})
	return list
}

func rank(name string) int {
	t, _ := farm.ParseTarget(name) // no target: before all
	return t.PythonRank()
}

func slaves(rows []store.SlaveRow) (list []bus.SlaveNow, more int64) {
	list = []bus.SlaveNow{}
	for _, r := range rows {
		if r.Role != farm.RoleSlave || r.Revoked {
			continue
		}
		if len(list) == mostSlaves {
			more++
			continue
		}
		p := r.Pulse
		p.Doing, p.Unfit = short(r.Doing), short(p.Unfit)
		list = append(list, bus.SlaveNow{
			Name: r.Name, Machine: short(r.Model), Paused: r.Paused, PausedWhy: short(r.PausedWhy), Faults: r.Faults,
			LastSeen: r.LastSeen, Memory: r.Memory, Pulse: p,
		})
	}
	return list, more
}

func builds(g store.Glance) []bus.BuildNow {
	list := []bus.BuildNow{}
	for _, u := range g.UnderWay {
		list = append(list, bus.BuildNow(u))
	}
	return list
}

func groups(f store.Failures) []bus.FailureNow {
	list := []bus.FailureNow{}
	for _, g := range f.Groups {
		x := g.Example
		list = append(list, bus.FailureNow{
			Cause: g.Cause, Detail: short(g.Detail), Hint: short(g.Hint), Jobs: g.Jobs, Week: g.Week,
			Package: x.Package, Version: x.Version, Target: x.Target, Build: x.Build, At: x.At,
		})
	}
	return list
}

func pace(e store.Ends) bus.Pace {
	return bus.Pace{Built: e.Built, Failed: e.Failed, Lost: e.Lost, Span: seconds(e.Span)}
}

func upstream(u store.UpstreamStatus) bus.IngestNow {
	f := u.Following
	now := bus.IngestNow{Source: f.Source, Serial: f.Serial, Moved: f.Moved, Asked: f.Asked, Trouble: short(f.Trouble)}
	for _, r := range u.Reading {
		now.Reading += r.Count
		if r.Urgency == "event" { // the others may take days, and are meant to
			now.Oldest = r.Oldest
		}
	}
	return now
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// short keeps one slave's words from filling the message.
func short(s string) string {
	s = farm.Clean(s)
	if len(s) <= longestText {
		return s
	}
	return bus.CutText(s[:longestText], longestText)
}
