-- +goose Up

-- Packages and releases: what the upstream has.

create table packages (
    id          bigint generated always as identity primary key,
    name        text not null unique,              -- normalized (PEP 503)
    display     text not null,                     -- the spelling shown to people
    created_at  timestamptz not null default now(),
    check (name ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')
);

create table releases (
    id              bigint generated always as identity primary key,
    package_id      bigint not null references packages on delete cascade,
    version         text not null,                 -- normalized (PEP 440); legacy versions as written
    raw             text not null,                 -- as the upstream writes it
    released_at     timestamptz not null default now(),
    yanked          boolean not null default false,
    yank_reason     text not null default '',
    requires_python text not null default '',
    sdist_filename  text not null default '',      -- '' : the release has no sdist
    sdist_url       text not null default '',
    sdist_sha256    text not null default '',
    sdist_size      bigint not null default 0,
    unique (package_id, version)
);

-- Where wheels run.

create table targets (
    id          bigint generated always as identity primary key,
    name        text not null unique,              -- 'cp311-linux_armv7l'
    abi         text not null,
    platform    text not null,
    rank        integer not null,                  -- by Python version: the lowest builds first
    python      text not null default '',          -- '' : told by the first slave's hello
    glibc       text not null default '',
    codename    text not null default '',
    active      boolean not null default true,
    created_at  timestamptz not null default now(),
    check (name = abi || '-' || platform)
);

create table slaves (
    id          bigint generated always as identity primary key,
    name        text not null unique,
    role        text not null check (role in ('slave', 'monitor', 'operator')),
    public_key  text not null unique,
    enrolled_at timestamptz not null default now(),
    revoked_at  timestamptz,
    last_seen   timestamptz,
    paused      boolean not null default false,
    doing       text not null default '',
    hello       jsonb,
    beat        jsonb
);

-- The queue: one row per release and target (docs/architecture.md, "States").

create table jobs (
    id              bigint generated always as identity primary key,
    release_id      bigint not null references releases on delete cascade,
    target_id       bigint not null references targets,
    state           text not null,
    reason          text not null default '',      -- of waiting, covered, skipped
    priority        smallint not null default 40,
    released_at     timestamptz not null,          -- the release's, copied
    rank            bigint not null,               -- orders the queue within a priority: newest release first
    not_before      timestamptz not null default now(),
    changed_at      timestamptz not null default now(),
    losses          integer not null default 0,    -- leases lost while other slaves were heard
    lease_token     text,
    lease_slave_id  bigint references slaves,
    lease_deadline  timestamptz,
    cause           text not null default '',
    detail          text not null default '',
    hint            text not null default '',
    unique (release_id, target_id),
    constraint jobs_state check (state in
        ('waiting', 'queued', 'leased', 'built', 'failed', 'covered', 'skipped')),
    constraint jobs_leased check ((state = 'leased') =
        (lease_token is not null and lease_slave_id is not null and lease_deadline is not null)),
    constraint jobs_reason check (state not in ('waiting', 'covered', 'skipped') or reason <> ''),
    constraint jobs_cause check ((state = 'failed') = (cause <> ''))
);

-- A claim reads the head of this index only, so its cost does not grow with the
-- table. All columns ascend, so that a claim can start behind the entries that
-- earlier claims left dead (docs/decisions/0006-queue-head.md).
create index jobs_queue on jobs (target_id, priority, rank, id) where state = 'queued';
create index jobs_leases on jobs (lease_deadline) where state = 'leased';
create index jobs_held on jobs (lease_slave_id) where state = 'leased';

-- Every claim leaves a dead entry at the head of the queue. The default would
-- let a fifth of the table die before vacuum comes.
alter table jobs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05, fillfactor = 90);

-- One row per lease: the ledger of issued tokens, and what came of each.

create table builds (
    id          bigint generated always as identity primary key,
    job_id      bigint not null references jobs on delete cascade,
    slave_id    bigint not null references slaves,
    token       text not null unique,
    request     text not null,                     -- a repeated request gets the same lease
    started_at  timestamptz not null default now(),
    ended_at    timestamptz,
    outcome     text check (outcome in ('built', 'failed', 'rejected', 'lost', 'superseded')),
    cause       text not null default '',
    detail      text not null default '',
    hint        text not null default '',
    excerpt     text not null default '' check (octet_length(excerpt) <= 2048),
    log_sha256  text not null default '',
    log_size    bigint not null default 0,
    seconds     double precision not null default 0,
    peak_rss    bigint not null default 0,
    record      jsonb,
    findings    jsonb,
    unique (slave_id, request),
    check ((outcome is null) = (ended_at is null))
);
create index builds_job on builds (job_id, id);

-- Every file name that was ever published, with its bytes. Rows are never
-- changed and never deleted: a name is not used again, not even after removal.

create table published_names (
    filename    text primary key,
    sha256      text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    size        bigint not null check (size > 0),
    published_at timestamptz not null default now(),
    unique (filename, sha256, size)
);

-- +goose StatementBegin
create function published_names_keep() returns trigger language plpgsql as $$
begin
    raise exception 'published_names: % is not allowed, a published name is for ever', tg_op;
end $$;
-- +goose StatementEnd
create trigger published_names_keep before update or delete or truncate on published_names
    for each statement execute function published_names_keep();

create table wheels (
    id              bigint generated always as identity primary key,
    release_id      bigint not null references releases on delete cascade,
    build_id        bigint not null references builds,
    filename        text not null unique,
    sha256          text not null,
    size            bigint not null,
    metadata_sha256 text not null,
    metadata        bytea not null,                -- the METADATA file, byte for byte (PEP 658)
    requires_python text not null default '',
    tags            text[] not null,
    findings        jsonb,
    published_at    timestamptz not null default now(),
    foreign key (filename, sha256, size) references published_names (filename, sha256, size)
);
create index wheels_release on wheels (release_id);

-- Pages that no longer agree with the rows above. Publishing reads the
-- generation, writes the page, and deletes the row only if the generation is
-- still the same: a change in between leaves it stale. Generations come from a
-- sequence and never repeat: a row that was deleted and made again by somebody
-- else must not look like the one that was read.

create sequence stale_generations;
create table stale_pages (
    scope       text primary key,                  -- a package's name; '' is the root index
    generation  bigint not null default nextval('stale_generations'),
    marked_at   timestamptz not null default now()
);

-- What people did.

create table audit_trail (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default now(),
    actor   text not null,
    action  text not null,
    subject text not null,
    detail  jsonb not null default '{}'
);

-- Secrets of the farm itself, such as the key that signs upload tokens.

create table secrets (
    name    text primary key,
    value   bytea not null
);

-- What the daemon runs with and the commands beside it must share.

create table settings (
    name    text primary key,
    value   text not null
);

-- What operators ask.

create view job_facts as
select j.id, p.name as package, p.display, r.version, r.raw, t.name as target, j.state, j.reason,
       j.priority, j.not_before, j.released_at, j.changed_at, j.losses, j.cause, j.detail, j.hint,
       s.name as slave
from jobs j
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id
left join slaves s on s.id = j.lease_slave_id;

create view queue_counts as
select t.name as target, j.state, count(*) as jobs
from jobs j join targets t on t.id = j.target_id
group by t.name, j.state;

-- +goose Down
select 1 / 0; -- migrations only go forward
