-- +goose Up

-- What a job was tried for, and what it needs of a slave.

alter table jobs
    add faults            smallint not null default 0,   -- tries that a slave, the network or the upstream spoiled
    add timeouts          smallint not null default 0,   -- tries that took too long
    add memory_outs       smallint not null default 0,   -- tries that ran out of memory
    add avoids_slave_id   bigint,                        -- it failed the job last, by a fault of its own
    add time_limit        interval not null default '0', -- of a build; 0: the farm's
    add needs_memory      bigint   not null default 0,   -- bytes that a slave must have
    add needs_packages    text[],                        -- Debian packages that it must have, sorted; null: none
    add waits_package     text     not null default '',  -- waiting: for a wheel of it (normalized name)
    add waits_requirement text     not null default '',  -- waiting: that this takes (PEP 440 specifiers, '' takes any)
    -- Rows of before have none of this, so that nothing needs to be read for it.
    -- Negative needs would be in neither index, and the job given to nobody.
    add constraint jobs_needs check (needs_memory >= 0 and cardinality(needs_packages) > 0) not valid,
    add constraint jobs_waits check (waits_package = '' and waits_requirement = '' or state = 'waiting') not valid;

-- Whatever moves on waits no more, also what a program of before this migration moves.
-- +goose StatementBegin
create function jobs_wait_over() returns trigger language plpgsql as $$
begin
    new.waits_package := '';
    new.waits_requirement := '';
    return new;
end $$;
-- +goose StatementEnd
create trigger jobs_wait_over before update on jobs for each row
    when (old.waits_package <> '' and new.state <> 'waiting') execute function jobs_wait_over();

-- Who waits for a package: few, and found by its name.
create index jobs_waits on jobs (waits_package) where waits_package <> '';

-- Jobs that need nothing of a slave stay as cheap as they were. Those that do are
-- few and stand apart, by what they need: a claim reads one head for each kind that
-- its slave can do, and never walks over those that it cannot
-- (docs/decisions/0019-needs.md).
drop index jobs_queue;
create index jobs_queue on jobs (target_id, priority, rank, id)
    where state = 'queued' and needs_memory = 0 and needs_packages is null;
create index jobs_needy on jobs (target_id, (coalesce(needs_packages, '{}')), needs_memory, priority, rank, id)
    where state = 'queued' and (needs_memory > 0 or needs_packages is not null);

-- How often a slave has failed by its own fault since a build last ended by itself,
-- and why the farm paused it; '' where a person did.
alter table slaves
    add faults     integer not null default 0,
    add paused_why text    not null default '';

-- +goose Down
select 1 / 0; -- migrations only go forward
