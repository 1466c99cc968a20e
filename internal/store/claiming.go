package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// claimsTogether is how many claims may share a transaction: the commit, and the turn
// to the server, are half of what one costs. Few enough for the first of them not to
// wait for the last. Of one master there is one such transaction at a time: two that
// take the slots of projects crosswise would wait for each other.
const claimsTogether = 24

// claimWithin bounds a transaction of several claims, of whose slaves none may break
// it off for the others. A slave asks anew after as long.
const claimWithin = 5 * time.Second

// claiming is one claim on its way to its job.
type claiming struct {
	q    string // that claims for it alone
	args []any

	kin   *kin // those of one kin may share a statement; nil: it goes alone
	req   ClaimRequest
	from  head
	slots []int16

	lease farm.Lease
	hint  recipeHint
	at    claimed
	err   error
}

// dest is where the columns of a claim's row are scanned to.
func (c *claiming) dest() []any {
	return append(leaseOf(&c.lease, &c.hint), &c.at.place.priority, &c.at.place.rank, &c.at.back, &c.at.full)
}

// claimRow looks for a job; pgx.ErrNoRows: there is none for this claim.
func (s *Store) claimRow(ctx context.Context, c *claiming) error {
	if err := s.claiming.together(c, func(list []*claiming) { s.claimAll(ctx, list) }); err != nil {
		return err
	}
	c.at.place.id = c.lease.Job
	if c.err == nil && c.at.last != (queuePlace{}) { // the head is where the last of all found its own
		c.at.place = c.at.last
	}
	return c.err
}

func (s *Store) claimAll(ctx context.Context, list []*claiming) {
	if len(list) == 1 {
		s.claimAlone(ctx, list[0])
		return
	}
	alone := list // one of them is to blame, mostly for a slot that another master took
	if left, err := s.claimTogether(ctx, list); err == nil {
		alone = left
	}
	for _, c := range alone {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimWithin)
		s.claimAlone(ctx, c)
		cancel()
	}
}

func (s *Store) claimAlone(ctx context.Context, c *claiming) {
	c.at = claimed{}
	c.err = s.pool.QueryRow(ctx, c.q, c.args...).Scan(c.dest()...)
}

// claimTogether sends all statements in one turn, which the server makes one
// transaction of and commits by itself: a master that is stopped meanwhile holds no
// slot that others wait for. It returns those that got nothing, and may by themselves.
func (s *Store) claimTogether(ctx context.Context, list []*claiming) (left []*claiming, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimWithin)
	defer cancel()
	var turn pgx.Batch
	for _, group := range families(list) {
		if len(group) > 1 {
			turn.Queue(claimFor(len(group)), groupArgs(group)...).Query(func(rows pgx.Rows) error {
				more, err := handOut(rows, group)
				left = append(left, more...)
				return err
			})
			continue
		}
		c := group[0]
		turn.Queue(c.q, c.args...).QueryRow(func(row pgx.Row) error {
			if c.err = row.Scan(c.dest()...); errors.Is(c.err, pgx.ErrNoRows) {
				return nil // there is none for this one
			}
			return c.err
		})
	}
	err = s.pool.SendBatch(ctx, &turn).Close() // after the commit
	return left, err
}
