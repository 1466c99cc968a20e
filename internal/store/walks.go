package store

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
)

// Walk is long work that people look at: a walk over all names of the upstream, or
// a plan over all jobs.
type Walk struct {
	ID          int64      `json:"walk"`
	Kind        string     `json:"kind"` // "backfill", "gap", "nightly", "aged", "plan"
	Began       time.Time  `json:"began_at"`
	Listed      *time.Time `json:"listed_at"` // the whole list is on the worklist
	Ended       *time.Time `json:"ended_at"`
	Total       int64      `json:"total"`  // names listed; of a plan: packages
	Chosen      int64      `json:"chosen"` // of these, to be read; of a plan: done
	Place       int64      `json:"-"`      // of a plan: the last package id
	Fingerprint string     `json:"-"`      // of a plan: by which it plans
	Trouble     string     `json:"trouble"`
}

const walkColumns = `id, kind, began_at, listed_at, ended_at, total, chosen, place, fingerprint, trouble`

// KindPlan is the kind of a walk that plans all jobs again.
const KindPlan = "plan"

// BeginWalk begins a walk, or resumes the one of its kind that has not ended, and
// wakes who walks.
func (s *Store) BeginWalk(ctx context.Context, kind string) (Walk, error) {
	w, err := s.beginWalk(ctx, kind, "", 0)
	if err != nil {
		return w, err
	}
	if _, err := s.pool.Exec(ctx, `select pg_notify($1, '')`, ReadingChannel); err != nil {
		return w, fmt.Errorf("begin the walk %s: %w", kind, translate(err))
	}
	return w, nil
}

// BeginPlan begins a plan over all packages, or resumes the one that has not
// ended if it plans by the same fingerprint; else that one starts over.
func (s *Store) BeginPlan(ctx context.Context, fingerprint string) (Walk, error) {
	var total int64
	if err := s.pool.QueryRow(ctx, `select count(*) from packages`).Scan(&total); err != nil {
		return Walk{}, fmt.Errorf("begin to plan: %w", translate(err))
	}
	return s.beginWalk(ctx, KindPlan, fingerprint, total)
}

func (s *Store) beginWalk(ctx context.Context, kind, fingerprint string, total int64) (Walk, error) {
	const q = `
insert into walks as w (kind, fingerprint, total) values ($1, $2, $3)
on conflict (kind) where ended_at is null do update set
    fingerprint = excluded.fingerprint,
    place  = case when w.fingerprint = excluded.fingerprint then w.place else 0 end,
    chosen = case when w.fingerprint = excluded.fingerprint then w.chosen else 0 end,
    total  = case when w.fingerprint = excluded.fingerprint then w.total else excluded.total end
returning ` + walkColumns
	rows, err := s.pool.Query(ctx, q, kind, fingerprint, total)
	if err != nil {
		return Walk{}, fmt.Errorf("begin the walk %s: %w", kind, translate(err))
	}
	w, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Walk])
	if err != nil {
		return Walk{}, fmt.Errorf("begin the walk %s: %w", kind, translate(err))
	}
	return w, nil
}

// PlanProgress keeps the place of a plan: the last package id, and how many were
// planned.
func (s *Store) PlanProgress(ctx context.Context, id, place, done int64) error {
	if _, err := s.pool.Exec(ctx, `update walks set place = $2, chosen = $3 where id = $1`, id, place, done); err != nil {
		return fmt.Errorf("keep the place of a plan: %w", translate(err))
	}
	return nil
}

// FinishPlan ends a plan and says by what all jobs are planned now.
func (s *Store) FinishPlan(ctx context.Context, id int64, fingerprint string) error {
	return s.inTx(ctx, "finish a plan", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `update walks set ended_at = now(), trouble = '' where id = $1`, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `update following set fingerprint = $1`, fingerprint)
		return err
	})
}

// NoteWalk keeps what is wrong with a walk that goes on all the same.
func (s *Store) NoteWalk(ctx context.Context, id int64, trouble string) error {
	if _, err := s.pool.Exec(ctx, `update walks set trouble = $2 where id = $1`, id, trouble); err != nil {
		return fmt.Errorf("note a walk's trouble: %w", translate(err))
	}
	return nil
}

// EndWalk ends a walk. One with a trouble is no more than a note: what is on the
// worklist is read all the same.
func (s *Store) EndWalk(ctx context.Context, id int64, trouble string) error {
	const q = `update walks set ended_at = now(), trouble = $2 where id = $1 and ended_at is null`
	if _, err := s.pool.Exec(ctx, q, id, trouble); err != nil {
		return fmt.Errorf("end a walk: %w", translate(err))
	}
	return nil
}

// Walks lists walks, those that have not ended before the others, then the newest.
func (s *Store) Walks(ctx context.Context, limit int) ([]Walk, error) {
	rows, err := s.pool.Query(ctx, `select `+walkColumns+` from walks order by ended_at is not null, id desc limit $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list walks: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Walk])
	if err != nil {
		return nil, fmt.Errorf("list walks: %w", translate(err))
	}
	return out, nil
}

// NameSerial is a project in the upstream's list of names.
type NameSerial struct {
	Name    string // normalized (PEP 503)
	Display string // as the list spells it; the normalized name tells nothing
	Serial  int64  // 0: the list has none
}

// MissingLimit is how many known projects a list may lack before it is not
// believed to be whole: more than Count and more than Share of all. The zero
// value is 100 and 0.01.
type MissingLimit struct {
	Count int64
	Share float64
	// Since leaves out names that the farm does not follow and that have not changed
	// since this serial, or of which the list tells none; 0: none is left out.
	Since int64
}

// ListedNames is what became of a list of names.
type ListedNames struct {
	Total   int64 // names, each once
	Chosen  int64 // of these: to be read
	Missing int64 // known, not in the list, and to be read as gone
	Refused int64 // known, not in the list, and too many to be believed
}

// ListNames takes the upstream's list of names for a walk and puts on the worklist
// what differs from the farm: names that it does not know or does not follow,
// names whose serial differs (with serials), and followed projects that the list
// lacks, unless those are too many. If names yields an error nothing is believed.
// The list is not held in memory, and no snapshot is held while it is streamed.
// The walk is not Listed by it, but by WalkListed: after a crash in between its list
// is to be taken again.
func (s *Store) ListNames(ctx context.Context, serials bool, names iter.Seq2[NameSerial, error], limits MissingLimit) (ListedNames, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return ListedNames{}, fmt.Errorf("take the list of names: %w", translate(err))
	}
	defer conn.Release()
	l := listing{conn: conn.Conn(), serials: serials, limits: limits}
	defer l.clear(ctx)
	if err := l.run(ctx, names); err != nil {
		return ListedNames{}, fmt.Errorf("take the list of names: %w", translate(err))
	}
	return l.out, nil
}

// WalkListed says that a walk's whole list is on the worklist, and that all is kept
// that follows from it: it is not to be taken again.
func (s *Store) WalkListed(ctx context.Context, walk int64, l ListedNames) error {
	const q = `update walks set listed_at = now(), total = $2, chosen = $3 where id = $1`
	if _, err := s.pool.Exec(ctx, q, walk, l.Total, l.Chosen+l.Missing); err != nil {
		return fmt.Errorf("keep that a walk is listed: %w", translate(err))
	}
	return nil
}
