package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// The actions of the audit trail that can be taken back.
const (
	ActionRequeue  = "requeue"
	ActionPriority = "priority" // of queued jobs
	ActionSkip     = "skip"
	ActionUnskip   = "unskip"
	ActionRecipe   = "recipe"
)

// undoable are those actions.
func undoable() []string {
	return []string{ActionRequeue, ActionPriority, ActionSkip, ActionUnskip, ActionRecipe}
}

// Others of its actions, that other files write or that are asked for.
const (
	ActionUndo   = "undo"
	ActionEnroll = "enroll"
	ActionRevoke = "revoke"

	ActionBackfill = "backfill"
)

// Note is a row of the audit trail: what a person changed.
type Note struct {
	ID      int64          `json:"audit"`
	At      time.Time      `json:"at"`
	Actor   string         `json:"actor"`
	Action  string         `json:"action"`
	Subject string         `json:"subject"`
	Detail  map[string]any `json:"detail"`
	Undone  int64          `json:"undone_by"` // the row that took it back; 0: none did
}

// note writes a row of the audit trail in the transaction that it speaks of.
func note(ctx context.Context, tx pgx.Tx, actor, action, subject string, detail any) error {
	_, err := noted(ctx, tx, actor, action, subject, detail)
	return err
}

// noted is note, and gives the row's number.
func noted(ctx context.Context, tx pgx.Tx, actor, action, subject string, detail any) (id int64, err error) {
	body, err := json.Marshal(detail)
	if err != nil {
		return 0, fmt.Errorf("write the audit trail: %w", err)
	}
	const q = `insert into audit_trail (actor, action, subject, detail) values ($1, $2, $3, $4) returning id`
	err = tx.QueryRow(ctx, q, actor, action, subject, body).Scan(&id)
	return id, err
}

// amend says anew what a row tells: of this transaction, or of a run of several.
func amend(ctx context.Context, tx pgx.Tx, id int64, detail any) error {
	body, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("write the audit trail: %w", err)
	}
	_, err = tx.Exec(ctx, `update audit_trail set detail = $2 where id = $1`, id, body)
	return err
}

// fewEdits is how many recipes a change may have to be told of in words.
const fewEdits = 3

// History lists what people changed, the newest first, at most so many. Unless it is
// wanted whole, long lists in the detail are only counted: the jobs of a change of
// recipes, and its edits if they are more than three.
func (s *Store) History(ctx context.Context, limit int, whole bool) ([]Note, error) {
	const q = `
select id, at, actor, action, subject, detail
    || case when not $2 and jsonb_typeof(detail -> 'jobs') = 'array'
        then jsonb_build_object('jobs', jsonb_array_length(detail -> 'jobs')) else '{}' end
    || case when not $2 and jsonb_typeof(detail -> 'edits') = 'array' and jsonb_array_length(detail -> 'edits') > $3
        then jsonb_build_object('edits', jsonb_array_length(detail -> 'edits')) else '{}' end, coalesce(undone_by, 0)
from audit_trail
order by id desc -- the newest first
limit $1`
	rows, err := s.pool.Query(ctx, q, limit, whole, fewEdits)
	if err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Note])
	if err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", translate(err))
	}
	for _, n := range out {
		if p, ok := n.Detail["priority"].(float64); ok { // as rows of before have it
			n.Detail["priority"] = farm.Priority(p).Word()
		}
	}
	return out, nil
}
