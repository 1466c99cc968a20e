package monitor

import (
	"fmt"
	"strings"

	"pinwheel/internal/bus"
)

func (d *dash) sorted() []bus.SlaveNow {
	return sortSlaves(d.snap.Slaves, d.sortBy, d.backwards, d.now())
}

// slavesPage is the table of slaves. The lines beside the numbers are of the last
// beats that were seen here.
func (d *dash) slavesPage(room int) []string {
	name := 8
	for _, s := range d.snap.Slaves {
		name = min(max(name, len(s.Name)), 16)
	}
	lines := min(max((d.wide-name-42)/8, 3), 14) // of each spark
	mark := func(column int, title string) string {
		if d.sortBy != column {
			return title
		}
		signs := map[bool]string{false: "▼", true: "▲"}
		if d.cfg.ASCII {
			signs = map[bool]string{false: "v", true: "^"}
		}
		return title + signs[d.backwards]
	}
	head := fit(mark(byName, "NAME"), name) + " " + fit(mark(byState, "STATE"), 6) + " " + right(mark(bySeen, "SEEN"), 5)
	for _, c := range []struct {
		by    int
		title string
	}{{byLoad, "LOAD"}, {byHeat, "TEMP"}, {byDisk, "DISK"}, {byMemory, "MEM"}} {
		head += " " + right(mark(c.by, c.title), 5) + " " + strings.Repeat(" ", lines)
	}
	head += " DOING"
	var rows []string
	for _, s := range d.sorted() {
		rows = append(rows, d.slaveRow(s, name, lines))
	}
	return d.table(room, head, rows, "no slave is enrolled; `master enroll NAME` makes credentials for one")
}

func (d *dash) slaveRow(s bus.SlaveNow, name, lines int) string {
	state := slaveState(s, d.now())
	seen := "never"
	if s.LastSeen != nil {
		seen = age(d.now().Sub(*s.LastSeen))
	}
	t := d.traces[s.Name]
	if t == nil {
		t = &trace{}
	}
	p := s.Pulse
	heat := "-"
	if p.Temperature != 0 {
		heat = fmt.Sprintf("%.0f°", p.Temperature)
	}
	row := fit(clean(s.Name), name) + " " + styled(stateStyle(state), fit(state, 6)) + " " + right(seen, 5)
	if s.LastSeen == nil {
		return row
	}
	memory := float64(s.Memory)
	for _, c := range []struct {
		text, style string
		list        []float64
		low, high   float64
	}{
		{fmt.Sprintf("%.1f", p.Load), "", t.load, 0, largest(t.load, 4)},
		{heat, map[bool]string{true: red}[p.Temperature >= 80], t.heat, 30, 90},
		{size(p.DiskFree), map[bool]string{true: red}[p.DiskFree < 1<<30], t.disk, 0, largest(t.disk, 1)},
		{size(p.MemoryFree), "", t.memory, 0, largest(t.memory, max(memory, 1))},
	} {
		row += " " + styled(c.style, right(c.text, 5)) + " " + styled(cyan, spark(c.list, lines, c.low, c.high, d.cfg.ASCII))
	}
	return row + " " + slaveDoing(s)
}

func (d *dash) buildsPage(room int) []string {
	head := fit("FOR", 6) + "  " + fit("PACKAGE", d.packageWide()) + " " + fit("TARGET", min(24, max(10, d.wide/4))) + " SLAVE"
	var rows []string
	for _, b := range d.snap.Builds {
		rows = append(rows, d.buildLine(b))
	}
	return d.table(room, head, rows, "nothing is built now")
}

// queuedJob is a job that is next on its target.
type queuedJob struct {
	bus.QueuedNow
	target string
	place  int
}

func (d *dash) queued() (list []queuedJob) {
	for _, t := range d.snap.Targets {
		for i, j := range t.Next {
			list = append(list, queuedJob{j, t.Target, i + 1})
		}
	}
	return list
}

func (d *dash) queuePage(room int) []string {
	what := max(16, (d.wide-2-45)*8/10)
	head := right("#", 3) + " " + fit("TARGET", 22) + " " + fit("PACKAGE", what) + " " + fit("PRIORITY", 9) + " QUEUED"
	var rows []string
	for _, j := range d.queued() {
		rows = append(rows, right(fmt.Sprint(j.place), 3)+" "+fit(clean(j.target), 22)+" "+fit(clean(j.Package+" "+j.Version), what)+
			" "+fit(j.Priority.Word(), 9)+" "+right(age(d.now().Sub(j.Since)), 6))
	}
	return d.table(room, head, rows, "nothing is queued")
}

func (d *dash) failuresPage(room int) []string {
	detail := max(12, (d.wide-2-36)/2)
	head := right("JOBS", 6) + " " + right("7 D", 6) + " " + fit("CAUSE", 18) + " " + fit("DETAIL", detail) + " NEWEST, HINT"
	var rows []string
	for _, f := range d.snap.Failures {
		last := clean(f.Package + " " + f.Version)
		if f.Hint != "" {
			last += ": " + clean(f.Hint)
		}
		rows = append(rows, right(number(f.Jobs), 6)+" "+right(number(f.Week), 6)+" "+fit(clean(string(f.Cause)), 18)+" "+
			fit(clean(f.Detail), detail)+" "+last)
	}
	return d.table(room, head, rows, "nothing has failed")
}

// eventsPage is the stream, the newest last. It stays at the newest until somebody
// looks back.
func (d *dash) eventsPage(room int) []string {
	if len(d.events) == 0 {
		return []string{styled(faint, "nothing has happened since this monitor began to listen")}
	}
	var rows []string
	for _, e := range d.events {
		rows = append(rows, d.eventLine(e))
	}
	if !d.lookBack {
		d.cursors[pageEvents].at = len(rows) - 1
	}
	head := fit("TIME", 8) + " " + fit("WHAT", 8) + " WHICH"
	return d.table(room, head, rows, "")
}

func (d *dash) eventLine(e bus.Event) string {
	var parts []string
	for _, p := range []string{strings.TrimSpace(e.Package + " " + e.Version), e.Target, e.Slave, e.Detail} {
		if p != "" {
			parts = append(parts, clean(p))
		}
	}
	kind := clean(e.Kind)
	return d.clock(e.At) + " " + styled(eventStyle(kind), fit(kind, 8)) + " " + strings.Join(parts, "  ")
}

func eventStyle(kind string) string {
	switch kind {
	case "built":
		return green
	case "failed", "lost":
		return red
	case "pause", "resume", "abort", "quit", "requeue", "priority", "skip":
		return yellow
	}
	return ""
}
