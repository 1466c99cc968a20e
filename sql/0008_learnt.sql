-- +goose Up

-- Memory that builds of a job taught that it needs, in bytes, whatever its recipes say; null:
-- nothing, or a program of before wrote needs_memory alone. What the job needs is the larger of
-- both, so that a recipe which asks for more, and goes again, leaves what was learnt.
alter table jobs add column learnt_memory bigint;

-- +goose Down
select 1 / 0; -- migrations only go forward
