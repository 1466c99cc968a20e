package store

import (
	"context"

	"pinwheel/internal/farm"
)

// hear keeps what people said, before anything moves by it: their words for the
// audit trail, what is to be skipped or not any more, and what the jobs are now, so
// that it can be taken back.
func (a *agreeing) hear(ctx context.Context) error {
	for _, g := range a.batch {
		if g.Actor == "" && len(g.Skip)+len(g.Unskip) == 0 {
			continue
		}
		detail := map[string]any{"releases": len(g.Add), "jobs": len(g.AddJobs) + len(g.Move)}
		if len(g.Skip)+len(g.Unskip) > 0 {
			if err := a.hearSkips(ctx, g, detail); err != nil {
				return err
			}
		}
		action := g.Action
		if action == "" {
			action = "add"
		}
		audit, err := noted(ctx, a.tx, g.Actor, action, g.Known.Name, detail)
		if err != nil {
			return err
		}
		a.out.Audit = audit
		if action == ActionSkip || action == ActionUnskip {
			if err := a.remember(ctx, g, audit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *agreeing) hearSkips(ctx context.Context, g *agreement, detail map[string]any) error {
	if _, err := liftSkips(ctx, a.tx, g.Unskip); err != nil {
		return err
	}
	if err := keepSkips(ctx, a.tx, g.Skip); err != nil {
		return err
	}
	detail["kept"], detail["lifted"] = append([]Skip{}, g.Skip...), append([]Skip{}, g.Unskip...)
	return nil
}

// remember keeps what the jobs are that this word moves. A lease cannot be given
// back: its job was queued before.
func (a *agreeing) remember(ctx context.Context, g *agreement, audit int64) error {
	const q = `
insert into moved_jobs (audit_id, job_id, became, since, was)
select $1, j.id, x.state, case when x.state <> j.state then now() else j.changed_at end,
    (` + wasRow + `) || case when j.state = 'leased' and x.state <> 'leased' then '{"state": "queued"}'::jsonb else '{}' end
from unnest($2::bigint[], $3::text[]) as x (id, state) join jobs j on j.id = x.id and j.id = any($2)`
	if err := forgetMoved(ctx, a.tx); err != nil || len(g.Move) == 0 {
		return err
	}
	ids := pluck(g.Move, func(m JobMove) int64 { return m.Job })
	states := pluck(g.Move, func(m JobMove) string { return string(m.State) })
	_, err := a.tx.Exec(ctx, q, audit, ids, states)
	return err
}

// Moves counts the jobs that an agreement moves, by what they become.
func (a Agreement) Moves() map[farm.State]int {
	out := map[farm.State]int{}
	for _, m := range a.Move {
		if m.From != m.State {
			out[m.State]++
		}
	}
	return out
}
