package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Project is one package with the releases that the upstream has.
type Project struct {
	Name     string // normalized (PEP 503)
	Display  string // as its owner spells it
	Releases []ReleaseFacts
}

// ReleaseFacts is one release as the upstream tells it.
type ReleaseFacts struct {
	Version        string // normalized (PEP 440); a legacy version as written
	Raw            string
	Released       time.Time
	Yanked         bool
	YankReason     string
	RequiresPython string
	Sdist          farm.Sdist // zero: none
}

// Wish is a job that should exist.
type Wish struct {
	Version  string
	Target   farm.Target
	Verdict  farm.Verdict
	Priority farm.Priority
}

// WishedJob is what became of a wish.
type WishedJob struct {
	Version string
	Target  string
	State   farm.State
	Reason  string
}

// AddJobs makes the rows of a project agree with the upstream and makes the
// wished jobs, in one transaction. A job that exists keeps its state, but for a
// skipped one whose reason fell. Waiting slaves are woken by the commit.
func (s *Store) AddJobs(ctx context.Context, p Project, wishes []Wish, actor string) ([]WishedJob, error) {
	var out []WishedJob
	err := s.inTx(ctx, "add jobs of "+p.Name, func(tx pgx.Tx) error {
		if err := saveProject(ctx, tx, p); err != nil {
			return err
		}
		if err := saveWishes(ctx, tx, p.Name, wishes); err != nil {
			return err
		}
		var err error
		if out, err = wished(ctx, tx, p.Name, wishes); err != nil {
			return err
		}
		return note(ctx, tx, actor, "add", p.Name, map[string]any{"jobs": len(wishes)})
	})
	return out, err
}

func saveProject(ctx context.Context, tx pgx.Tx, p Project) error {
	const pkg = `
insert into packages (name, display) values ($1, $2)
on conflict (name) do update set display = excluded.display
returning id`
	var id int64
	if err := tx.QueryRow(ctx, pkg, p.Name, p.Display).Scan(&id); err != nil {
		return err
	}
	// Batched: a package may have thousands of releases.
	const rel = `
insert into releases (package_id, version, raw, released_at, yanked, yank_reason, requires_python,
                      sdist_filename, sdist_url, sdist_sha256, sdist_size)
values ($1, $2, $3, coalesce($4, now()), $5, $6, $7, $8, $9, $10, $11)
on conflict (package_id, version) do update set
    raw = excluded.raw, released_at = coalesce($4, releases.released_at),
    yanked = excluded.yanked, yank_reason = excluded.yank_reason,
    requires_python = excluded.requires_python, sdist_filename = excluded.sdist_filename,
    sdist_url = excluded.sdist_url, sdist_sha256 = excluded.sdist_sha256, sdist_size = excluded.sdist_size`
	var batch pgx.Batch
	for _, r := range p.Releases {
		var released *time.Time
		if !r.Released.IsZero() {
			released = &r.Released
		}
		batch.Queue(rel, id, r.Version, r.Raw, released, r.Yanked, r.YankReason, r.RequiresPython,
			r.Sdist.Filename, r.Sdist.URL, r.Sdist.SHA256, r.Sdist.Size)
	}
	// A yank may have changed, so the project's page is to be looked at again.
	batch.Queue(markStale+` where exists (select 1 from wheels w join releases r on r.id = w.release_id where r.package_id = $2)
on conflict (scope) do update set generation = excluded.generation`, p.Name, id)
	return tx.SendBatch(ctx, &batch).Close()
}

func saveWishes(ctx context.Context, tx pgx.Tx, name string, wishes []Wish) error {
	const q = `
insert into jobs (release_id, target_id, state, reason, priority, released_at, rank)
select r.id, t.id, $4, $5, $6, r.released_at, -(extract(epoch from r.released_at) * 1000)::bigint
from packages p
join releases r on r.package_id = p.id and r.version = $2
join targets t on t.name = $3
where p.name = $1
on conflict (release_id, target_id) do update set
    state = excluded.state, reason = excluded.reason, priority = excluded.priority,
    not_before = now(), changed_at = now()
where jobs.state = 'skipped' and excluded.state in ('queued', 'skipped')`
	var batch pgx.Batch
	for _, w := range wishes {
		batch.Queue(q, name, w.Version, w.Target.String(), string(w.Verdict.State), w.Verdict.Reason, int16(w.Priority))
	}
	batch.Queue(`select pg_notify($1, '')`, QueueChannel)
	return tx.SendBatch(ctx, &batch).Close()
}

func wished(ctx context.Context, tx pgx.Tx, name string, wishes []Wish) ([]WishedJob, error) {
	versions := make([]string, len(wishes))
	for i, w := range wishes {
		versions[i] = w.Version
	}
	const q = `
select version, target, state, reason from job_facts
where package = $1 and version = any($2) order by released_at desc, version, target`
	rows, err := tx.Query(ctx, q, name, versions)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[WishedJob])
}

// note writes a row of the audit trail in the transaction that it speaks of.
func note(ctx context.Context, tx pgx.Tx, actor, action, subject string, detail any) error {
	body, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("write the audit trail: %w", err)
	}
	const q = `insert into audit_trail (actor, action, subject, detail) values ($1, $2, $3, $4)`
	_, err = tx.Exec(ctx, q, actor, action, subject, body)
	return err
}
