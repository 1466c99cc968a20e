-- +goose Up

-- How maintainers change the way in which packages are built, and why.

create table recipes (
    id          bigint   generated always as identity primary key,
    package     text     not null,                    -- normalized (PEP 503), with * and ?
    versions    text     not null default '',         -- specifiers (PEP 440); '' : all
    target      text     not null default '',         -- by name; '' : all
    env         jsonb    not null default '{}',       -- variables, name to value
    timeout     interval not null default '0',        -- 0, here and below: as for every build
    memory      bigint   not null default 0,          -- bytes
    jobs        integer  not null default 0,
    network     text     not null default '',
    pip_options text[]   not null default '{}',
    constraints text[]   not null default '{}',       -- on what builds require, sorted
    apt         text[]   not null default '{}',       -- Debian packages that a slave must have, sorted
    reason      text     not null check (reason <> ''),
    author      text     not null,
    at          timestamptz not null default now(),
    unique (package, versions, target)
);

-- Grows with every change of the recipes: who keeps them in memory looks at it
-- rather than at all of them. One row.
create table recipe_book (
    one      boolean primary key default true check (one),
    revision bigint  not null default 0
);
insert into recipe_book default values;

-- What is installed where a slave builds, as its last hello told. Apart from that:
-- the list is long, and hellos are read often.
alter table slaves
    add packages     text[] not null default '{}',    -- Debian packages, sorted
    add packages_key text   not null default '';      -- of the list: alike for lists that are; '' : none

-- +goose Down
select 1 / 0; -- migrations only go forward
