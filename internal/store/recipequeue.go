package store

import (
	"context"
	"fmt"

	"pinwheel/internal/farm"
)

// requeue begins anew what failed. It comes before the backlog, for a maintainer
// has looked at it, and not before what he did not look at and is newer.
func (c *recipeChange) requeue(ctx context.Context) error {
	if len(c.again) == 0 {
		return nil
	}
	// Locked before they are remembered, so that what is remembered is what moves.
	const keep = `
insert into moved_jobs (audit_id, job_id, became, since, was)
select $1, j.id, 'queued', now(), ` + wasRow + ` from jobs j
where j.id = any($2) -- the row may have moved since it was looked at
and (j.state = 'failed' or j.state = 'waiting' and j.why = 'requirement')
order by j.id -- the same for all who lock several
for update of j`
	if _, err := c.tx.Exec(ctx, keep, c.out.Audit, c.again); err != nil {
		return err
	}
	const q = `
with moved as (
    update jobs j set state = 'queued', why = '', reason = '', cause = '', detail = '', hint = '', ` + anew + `,
        ` + takesNeeds + `,
        waits_package = '', waits_requirement = '',
        priority = case when j.priority = any($2) then $3 else j.priority end, not_before = now(), changed_at = now()
    from unnest($1::bigint[], $4::bigint[], $5::text[], $7::bigint[]) as x (id, memory, packages, learnt)
    where j.id = x.id and j.id in (select job_id from moved_jobs where audit_id = $6)
    returning j.id
)
select coalesce(array_agg(id order by id), '{}') from moved`
	var moved []int64
	later := []int16{int16(farm.PriorityBacklog), int16(farm.PriorityLast)}
	err := c.tx.QueryRow(ctx, q, c.again, later, int16(farm.PriorityWanted), c.againNeeds.memory, c.againNeeds.packages, c.out.Audit,
		c.againNeeds.learnt).Scan(&moved)
	if err != nil {
		return err
	}
	c.again, c.out.Requeued = moved, int64(len(moved))
	return nil
}

// wake tells all who claim to look at the whole queue again: what they passed over
// may be for them now.
func (c *recipeChange) wake(ctx context.Context) error {
	if len(c.again)+len(c.needy) == 0 {
		return nil
	}
	_, err := c.tx.Exec(ctx, `select pg_notify($1, '')`, QueueChannel)
	return err
}

// number takes the change's number in the audit trail, where note says later what it did.
func (c *recipeChange) number(ctx context.Context) (err error) {
	if err := forgetMoved(ctx, c.tx); err != nil {
		return err
	}
	subject := fmt.Sprintf("%d recipes", len(c.edits))
	if len(c.edits) == 1 {
		subject = c.edits[0].Scope().String()
	}
	c.out.Audit, err = noted(ctx, c.tx, c.actor, ActionRecipe, subject, struct{}{})
	return err
}

func (c *recipeChange) note(ctx context.Context) error {
	return amend(ctx, c.tx, c.out.Audit, map[string]any{
		"edits": c.edits, "requeued": c.out.Requeued, "queued": c.out.Queued, "leased": c.out.Leased, "kept": c.out.Kept,
		"jobs": c.again,
	})
}
