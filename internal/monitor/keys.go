package monitor

import (
	tea "charm.land/bubbletea/v2"

	"pinwheel/internal/bus"
)

// key does what a key asks for: first what holds everywhere, then what the page knows.
func (d *dash) key(m tea.KeyPressMsg) tea.Cmd {
	if d.prompt != nil {
		return d.promptKey(m)
	}
	d.note = ""
	if d.help {
		d.help = false
		return nil
	}
	key := m.String()
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "?":
		d.help = true
		return nil
	case "1", "2", "3", "4", "5", "6", "7":
		d.page = int(key[0] - '1')
		return nil
	case "tab", "shift+tab":
		step := map[string]int{"tab": 1, "shift+tab": pageCount - 1}[key]
		d.page = (d.page + step) % pageCount
		return nil
	case "ctrl+l":
		return tea.ClearScreen
	}
	if d.page == pageLog {
		return d.logKey(key)
	}
	if d.moves(key) {
		return nil
	}
	switch d.page {
	case pageSlaves:
		return d.slaveKey(key)
	case pageBuilds:
		return d.buildKey(key)
	case pageQueue:
		return d.queueKey(key)
	case pageFailures:
		return d.failureKey(key)
	}
	return nil
}

// moves moves the cursor, if the key does.
func (d *dash) moves(key string) bool {
	c := &d.cursors[d.page]
	step, ok := map[string]int{
		"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -d.room(), "pgdown": d.room(), "home": -1 << 30, "g": -1 << 30, "end": 1 << 30, "G": 1 << 30,
	}[key]
	if ok {
		c.at = min(max(0, c.at+step), max(0, d.rows()-1))
		if d.page == pageEvents {
			d.lookBack = c.at < len(d.events)-1
		}
	}
	return ok
}

// rows is how many the page has.
func (d *dash) rows() int {
	switch d.page {
	case pageSlaves:
		return len(d.snap.Slaves)
	case pageBuilds:
		return len(d.snap.Builds)
	case pageQueue:
		return len(d.queued())
	case pageFailures:
		return len(d.snap.Failures)
	case pageEvents:
		return len(d.events)
	}
	return 0
}

// chosen is the row of the page that the cursor is on.
func chosen[T any](d *dash, list []T) (one T, ok bool) {
	if at := d.cursors[d.page].at; at < len(list) {
		return list[at], true
	}
	return one, false
}

func (d *dash) slaveKey(key string) tea.Cmd {
	switch key {
	case "s":
		d.sortBy = (d.sortBy + 1) % sortKinds
		return nil
	case "S":
		d.backwards = !d.backwards
		return nil
	}
	s, ok := chosen(d, d.sorted())
	if !ok {
		return nil
	}
	switch key {
	case "p":
		return d.wish("pause "+s.Name, bus.Steer{Do: bus.SteerPause, Slave: s.Name})
	case "r":
		return d.wish("resume "+s.Name, bus.Steer{Do: bus.SteerResume, Slave: s.Name})
	case "a":
		return d.wish("abort what "+s.Name+" builds", bus.Steer{Do: bus.SteerAbort, Slave: s.Name})
	case "e":
		return d.wish("have "+s.Name+" quit when its build is done", bus.Steer{Do: bus.SteerQuit, Slave: s.Name})
	case "enter", "l":
		for _, b := range d.snap.Builds {
			if b.Slave == s.Name {
				return d.open(b.Build)
			}
		}
		d.say(yellow, s.Name+" builds nothing now")
	}
	return nil
}

func (d *dash) buildKey(key string) tea.Cmd {
	b, ok := chosen(d, d.snap.Builds)
	if !ok {
		return nil
	}
	what := clean(b.Package + " " + b.Version + " on " + b.Target)
	switch key {
	case "enter", "l":
		return d.open(b.Build)
	case "a":
		return d.wish("abort "+what+" at "+b.Slave, bus.Steer{Do: bus.SteerAbort, Slave: b.Slave})
	case "p":
		return d.wish("pause "+b.Slave, bus.Steer{Do: bus.SteerPause, Slave: b.Slave})
	case "x":
		return d.skip(bus.Steer{Package: b.Package, Version: b.Version, Target: b.Target}, what)
	}
	return nil
}

func (d *dash) queueKey(key string) tea.Cmd {
	j, ok := chosen(d, d.queued())
	if !ok {
		return nil
	}
	what := clean(j.Package + " " + j.Version + " on " + j.target)
	s := bus.Steer{Package: j.Package, Version: j.Version, Target: j.target}
	switch key {
	case "+", "P":
		return d.priority(s, what)
	case "x":
		return d.skip(s, what)
	}
	return nil
}

func (d *dash) failureKey(key string) tea.Cmd {
	f, ok := chosen(d, d.snap.Failures)
	if !ok {
		return nil
	}
	what := clean(f.Package + " " + f.Version + " on " + f.Target)
	s := bus.Steer{Package: f.Package, Version: f.Version, Target: f.Target}
	switch key {
	case "enter", "l":
		if f.Build == 0 {
			d.say(yellow, what+" left no log")
			return nil
		}
		return d.open(f.Build)
	case "r":
		s.Do = bus.SteerRequeue
		return d.wish("requeue "+what, s)
	case "R":
		return d.wish("requeue all that failed as "+string(f.Cause), bus.Steer{Do: bus.SteerRequeue, Cause: f.Cause})
	case "x":
		return d.skip(s, what)
	}
	return nil
}
