-- +goose Up

-- What the upstream says of a project as a whole, and how far these rows follow it.

alter table packages
    add spellings     text[]  not null default '{}', -- all that were seen, oldest first; display is the newest
    add status        text    not null default 'active' -- PEP 792
        check (status in ('active', 'archived', 'deprecated', 'quarantined')),
    add status_reason text    not null default '',
    add followed      boolean not null default false, -- every release becomes a job, not only those named by hand
    add serial        bigint  not null default 0,     -- of the upstream's answer that these rows agree with
    add etag          text    not null default '',    -- of the same answer
    add read_at       timestamptz,                    -- when it was read; null: never
    add revision      bigint  not null default 0,     -- grows with every agreement, see Store.Agree
    -- Why it may be wanted, each cheap to count (design 4, priorities):
    add asked         integer not null default 0,     -- by visitors
    add missed        integer not null default 0,     -- in web logs (404)
    add needed        integer not null default 0,     -- builds that wait for it
    add listed        boolean not null default false; -- on an operator's list

-- The tags of the upstream's wheels that a Linux could take, each once, sorted,
-- separated by blanks: what a target finds there is decided from them.
alter table releases add wheels text not null default '';
-- The upstream holds it back: its wheels are withheld, and nothing goes.
alter table releases add quarantined boolean not null default false;

-- A build that goes looks for its wheels by it, and would read them all.
create index wheels_build on wheels (build_id);

alter table jobs
    add package_id      bigint   not null default 0,  -- the release's, copied: claims count by it
    add why             text     not null default '', -- the kind of the reason, for programs: farm.Why
    add waits_target_id bigint,                       -- waiting: for the outcome on this target
    add lease_slot      smallint not null default 0;  -- leased: 1 to the number that a project may have at once
update jobs j set package_id = r.package_id from releases r where r.id = j.release_id;

-- Whatever uses up a lease frees its slot, also a program of before this migration.
-- +goose StatementBegin
create function jobs_free_slot() returns trigger language plpgsql as $$
begin
    new.lease_slot := 0;
    return new;
end $$;
-- +goose StatementEnd
create trigger jobs_free_slot before update on jobs for each row
    when (old.lease_slot > 0 and new.state <> 'leased') execute function jobs_free_slot();
alter table jobs add constraint jobs_slot check (lease_slot = 0 or lease_slot > 0 and state = 'leased');

-- Two leases of one project never have the same slot, so a project has at most as
-- many leases as there are slots, however many claim at once. The slot comes first:
-- a project without room has its last slot taken, and few have. That it is leased
-- is left out: else the planner takes another index of leased rows, and walks over
-- all that is dead in it.
create unique index jobs_slots on jobs (lease_slot, package_id) where lease_slot > 0;

-- Targets are retired, never deleted. The check of the key would lock the same few
-- rows for each of 25 million jobs, from all who write at once. `master audit` looks
-- for strays. The key to releases stays: it costs a fifth of the time that new jobs
-- take, and it is what removes them.
alter table jobs drop constraint jobs_target_id_fkey;

-- Since when a slave is paused: others wait for the builds of one that comes back
-- soon. Null: it is not, or a program of before this column paused it.
alter table slaves add paused_at timestamptz;

-- Where the follower stands. One row.

create table following (
    one       boolean primary key default true check (one),
    source    text not null default '' check (source in ('', 'changelog', 'serials', 'none')),
    changelog_at timestamptz,                         -- when the upstream's changelog last answered; null: it has none
    serial    bigint not null default 0,              -- everything up to here is in `reading` or was read
    moved_at  timestamptz,                            -- when it last moved
    asked_at  timestamptz,                            -- when the upstream last answered
    trouble   text not null default '',               -- why it does not, in plain words
    names_etag text not null default '',              -- of the list of names
    fingerprint text not null default ''              -- of targets and policy, by which all jobs were planned
);
insert into following default values;

-- +goose StatementBegin
create function following_forward() returns trigger language plpgsql as $$
begin
    if new.serial < old.serial then
        raise exception 'following: the serial % would go back to %', old.serial, new.serial;
    end if;
    return new;
end $$;
-- +goose StatementEnd
create trigger following_forward before update on following for each row execute function following_forward();

-- Projects that must be read from the upstream: because of an event, of a walk
-- over all names, of their age, or again because it went wrong. A row goes in the
-- transaction that makes the rows above agree with what was read.

create table reading (
    name       text primary key,                      -- normalized (PEP 503)
    urgency    smallint not null,                     -- lower is sooner: farm.Urgency
    serial     bigint not null default 0,             -- the answer must include this one
    gone       boolean not null default false,        -- its removal was announced, so one 404 is proof
    follow     boolean not null default true,         -- every release becomes a job
    not_before timestamptz not null default now(),    -- also the end of the lease of whoever reads it now
    taken      boolean not null default false,        -- somebody reads it now
    tries      integer not null default 0,
    trouble    text not null default '',              -- of the last try
    since      timestamptz not null default now(),
    revision   bigint not null default 0              -- grows when it is asked for again
);
create index reading_order on reading (urgency, not_before);
create index reading_troubled on reading (tries desc, name) where trouble <> '';
-- Rows are taken and deleted at the head of that index; the default would let a
-- fifth of a whole walk die before vacuum comes.
alter table reading set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0);

-- Releases that the upstream announced as quarantined, and has not cleared since.
-- Its page only lacks them; this tells them from those that are gone.

create table held (
    package text not null,                            -- normalized (PEP 503)
    version text not null,                            -- as it was announced
    since   timestamptz not null default now(),
    primary key (package, version)
);

-- Walks over all names, and plans over all jobs: long work that people look at.

create table walks (
    id         bigint generated always as identity primary key,
    kind       text not null check (kind in ('backfill', 'gap', 'nightly', 'aged', 'plan')),
    began_at   timestamptz not null default now(),
    listed_at  timestamptz,                           -- the whole list is in `reading`
    ended_at   timestamptz,
    total      bigint not null default 0,             -- names listed; of a plan: packages
    chosen     bigint not null default 0,             -- of these, to be read; of a plan: done
    place      bigint not null default 0,             -- of a plan: the last package id
    fingerprint text not null default '',             -- of a plan
    trouble    text not null default ''
);
create unique index walks_one on walks (kind) where ended_at is null;

-- What the upstream did wrong, by kind.

create table upstream_faults (
    kind    text primary key,
    count   bigint not null default 0,
    last_at timestamptz not null default now(),
    detail  text not null default ''
);

-- Wheels whose release, project or sdist is gone upstream. They have left `wheels`,
-- so that nothing new is made of them, but as long as a page may name one and its
-- file is there, it has a row: publishing writes the page without it, deletes the
-- row here, and then the file (docs/decisions/0016-page-row-file.md).

create table withdrawn (
    filename text primary key,
    package  text not null,                           -- normalized (PEP 503); it may be gone
    sha256   text not null,
    size     bigint not null,
    build_id bigint not null,                         -- that brought it; it is gone
    at       timestamptz not null default now(),
    foreign key (filename, sha256, size) references published_names (filename, sha256, size)
);
create index withdrawn_package on withdrawn (package);

-- A file is deleted only if no other wheel has its bytes.
create index wheels_sha256 on wheels (sha256);

-- What maintainers will not have built.

create table skips (
    id      bigint generated always as identity primary key,
    package text not null,                            -- normalized
    version text not null default '',                 -- '' : all
    target  text not null default '',                 -- '' : all
    reason  text not null check (reason <> ''),
    author  text not null,
    at      timestamptz not null default now(),
    unique (package, version, target)
);

-- The counts of the farm, kept where counting takes long: 25 million jobs are
-- seconds. One row, or none.

create table tally (
    one        boolean primary key default true check (one),
    counted_at timestamptz not null,
    took       interval not null,                     -- by which it is decided how long it is believed
    counts     jsonb not null
);

-- +goose Down
select 1 / 0; -- migrations only go forward
