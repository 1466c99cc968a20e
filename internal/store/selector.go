package store

import (
	"fmt"
	"strings"
	"time"

	"pinwheel/internal/farm"
)

// Selector picks jobs; what is empty picks all.
type Selector struct {
	Package string     // normalized (PEP 503)
	Version string     // as the upstream or as PEP 440 writes it
	Target  string     // by its name
	Failed  bool       // only jobs that failed
	Cause   farm.Cause // only jobs that failed for it
	Slave   string     // whose newest build that has ended was this slave's
	Since   time.Time  // that came to be what they are then or later
}

// selectable is what the conditions of a Selector speak of.
const selectable = `
from jobs j
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id
`

// newestBuild is the newest build of a job that has ended.
const newestBuild = `
left join lateral (
    select b.id, b.slave_id, b.excerpt, b.log_sha256, b.log_size from builds b
    where b.job_id = j.id and b.ended_at is not null
    order by b.id desc limit 1) b on true
`

// conditions collects what a statement asks for, beside its arguments: a condition
// that is not asked for is not in it, so that each finds its own index.
type conditions struct {
	list []string
	args []any
}

// add takes a condition in which %s stands for the argument.
func (c *conditions) add(condition string, arg any) {
	c.args = append(c.args, arg)
	c.list = append(c.list, fmt.Sprintf(condition, fmt.Sprintf("$%d", len(c.args))))
}

// arg adds an argument that no condition has, and returns its name.
func (c *conditions) arg(v any) string {
	c.args = append(c.args, v)
	return fmt.Sprintf("$%d", len(c.args))
}

func (c *conditions) String() string {
	if len(c.list) == 0 {
		return ""
	}
	return " where " + strings.Join(c.list, " and ")
}

// conditions are those of the selector, over selectable.
func (sel Selector) conditions() conditions {
	var c conditions
	if sel.Package != "" {
		c.add(`p.name = %s`, sel.Package)
	}
	if sel.Version != "" {
		c.add(`%s in (r.version, r.raw)`, sel.Version)
	}
	if sel.Target != "" {
		c.add(`t.name = %s`, sel.Target)
	}
	if sel.Cause != "" {
		c.add(`j.cause = %s`, string(sel.Cause))
	}
	if sel.Slave != "" {
		c.add(`(select s.name from builds b join slaves s on s.id = b.slave_id
            where b.job_id = j.id and b.ended_at is not null order by b.id desc limit 1) = %s`, sel.Slave)
	}
	if !sel.Since.IsZero() {
		c.add(`j.changed_at >= %s`, sel.Since)
	}
	return c
}

// OnlyFailed says whether the selector picks none but failed jobs.
func (sel Selector) OnlyFailed() bool { return sel.Failed || sel.Cause != "" }
