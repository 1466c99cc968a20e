-- +goose Up

-- Wheels for armv6l: copies of proven wheels for armv7l, with rows of their own.

-- A target whose compiler is said to make code for ARMv6, by whoever runs the farm. First, since whoever
-- brings a wheel locks targets before wheels.
alter table targets add column vouches_armv6 boolean not null default false;

-- Of a copy: the wheel that it was made of, which it goes with.
alter table wheels add column copy_of bigint references wheels on delete cascade;
create index wheels_copies on wheels (copy_of) where copy_of is not null;

-- Why a wheel has no copy for armv6l; '' : it has one, or is one, or needs none; null :
-- nobody has looked yet. The rows of null are the worklist of whoever makes copies, and
-- wheels that the program before this one brings are on it too.
alter table wheels add column no_armv6l text;
create index wheels_uncopied on wheels (id) where no_armv6l is null and filename like '%-linux\_armv7l.whl';

-- +goose Down
select 1 / 0; -- migrations only go forward
