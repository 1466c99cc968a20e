-- +goose Up

-- What maintainers ask, and what they take back.

-- Failures are grouped by cause and detail, over days and targets, and one group is
-- sent back: both read this index alone, and not the millions of other jobs.
create index jobs_failed on jobs (cause, detail, changed_at, target_id) where state = 'failed';

-- What jobs were before a maintainer's word moved them, so that it can be taken back
-- exactly. Rows go when that was done, or after a while. No key to jobs: those that
-- went meanwhile are counted, and a hundred thousand checks are a second.
create table moved_jobs (
    audit_id bigint not null references audit_trail on delete cascade,
    job_id   bigint not null,
    became   text not null,                           -- the state that it was moved to
    since    timestamptz not null,                    -- its changed_at then: another one says that it moved on
    was      jsonb not null,                          -- its row before
    primary key (audit_id, job_id)
);

alter table audit_trail
    add undone_by bigint;                             -- the row that took it back

-- `master remove` said so: adding it again lifts it.
alter table skips
    add removed boolean not null default false;

-- +goose Down
select 1 / 0; -- migrations only go forward
