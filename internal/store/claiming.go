package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pinwheel/internal/farm"
)

// claimsTogether is how many claims may share a transaction: the commit, and the turn
// to the server, are half of what one costs. Few enough for the first of them not to
// wait for the last. Of one master there is one such transaction at a time: two that
// take the slots of projects crosswise would wait for each other.
const claimsTogether = 24

// claimWithin bounds a claim, and a transaction of several, of whose slaves none may
// break it off for the others: the next ones wait behind it, whatever holds it up. A slave
// asks anew after five seconds, and hears before that there is no answer.
const claimWithin = 4 * time.Second

// ownFault says whether an error may be that of one of several who share a statement, so
// that the others do better without it: what it brought cannot be a row, or another
// master took what it was about to take. A database that is slow, or away, is so for all
// of them, and to ask it once more for each would keep all waiting.
func ownFault(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) < 2 {
		return false
	}
	// Data exceptions, constraints, and what was rolled back for the sake of others.
	return slices.Contains([]string{"22", "23", "40"}, pg.Code[:2])
}

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

func (c *claiming) woken() bool { return c.req.Woken }

// sooner says who got a job longer ago, and comes first.
func (c *claiming) sooner(o *claiming) int { return c.req.Since.Compare(o.req.Since) }

// dest is where the columns of a claim's row are scanned to.
func (c *claiming) dest() []any {
	return append(leaseOf(&c.lease, &c.hint), &c.at.place.priority, &c.at.place.rank, &c.at.back, &c.at.full)
}

// claimRow looks for a job; pgx.ErrNoRows: there is none for this claim.
func (s *Store) claimRow(ctx context.Context, c *claiming) error {
	if err := s.claiming.together(ctx, c, func(list []*claiming) { s.claimAll(ctx, list) }); err != nil {
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
		ctx, cancel := context.WithTimeout(ctx, s.claimWithin)
		defer cancel()
		s.claimAlone(ctx, list[0])
		return
	}
	alone, err := s.claimTogether(ctx, list)
	switch {
	case err == nil:
	case ownFault(err):
		alone = list // one of them is to blame, mostly for a slot that another master took
	default:
		for _, c := range list {
			c.err = err
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.claimWithin) // all of them: others wait behind
	defer cancel()
	for i, c := range alone {
		s.claimAlone(ctx, c)
		if c.err != nil && !errors.Is(c.err, pgx.ErrNoRows) && !ownFault(c.err) {
			for _, c := range alone[i+1:] {
				c.at, c.err = claimed{}, alone[i].err
			}
			return
		}
	}
}

func (s *Store) claimAlone(ctx context.Context, c *claiming) {
	c.at = claimed{}
	c.err = s.brief.QueryRow(ctx, c.q, c.args...).Scan(c.dest()...)
}

// claimTogether sends all statements in one turn, which the server makes one
// transaction of and commits by itself: a master that is stopped meanwhile holds no
// slot that others wait for. It returns those that got nothing, and may by themselves.
func (s *Store) claimTogether(ctx context.Context, list []*claiming) (left []*claiming, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.claimWithin)
	defer cancel()
	var turn pgx.Batch
	queueClaims(&turn, list, &left)
	err = s.brief.SendBatch(ctx, &turn).Close() // after the commit
	return left, err
}

// queueClaims queues the statements of all claims, and notes those that are left.
func queueClaims(turn *pgx.Batch, list []*claiming, left *[]*claiming) {
	for _, group := range families(list) {
		if len(group) > 1 {
			turn.Queue(claimFor(len(group)), groupArgs(group)...).Query(func(rows pgx.Rows) error {
				more, err := handOut(rows, group)
				*left = append(*left, more...)
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
}
