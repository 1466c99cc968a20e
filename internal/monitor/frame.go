package monitor

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"pinwheel/internal/bus"
)

// View implements tea.Model.
func (d *dash) View() tea.View {
	v := tea.NewView(strings.Join(d.lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "pinwheel " + clean(d.place.Where)
	return v
}

// The lines around a page: the header, the pages' names, a line for questions and
// answers, the keys. On a small screen the names go first, then the keys.
func (d *dash) frame() (head, foot []string) {
	head = []string{d.header()}
	if d.high >= 9 {
		head = append(head, d.tabs(), "")
	}
	if d.high >= 4 {
		foot = append(foot, d.line())
	}
	if d.high >= 6 {
		foot = append(foot, d.secondLine(foot[0]))
	}
	return head, foot
}

// secondLine has the keys, or the rest of what is said if that is too long: it is the
// answer to a key, and the keys come back with the next one.
func (d *dash) secondLine(first string) string {
	if rest := width(first) - d.wide; rest > 0 && d.prompt == nil {
		return ansi.Cut(first, d.wide, 2*d.wide)
	}
	return styled(faint, d.keysLine())
}

// room is how many lines a page has, with the heads of its columns.
func (d *dash) room() int {
	head, foot := d.frame()
	return max(1, d.high-len(head)-len(foot)-1)
}

// lines are the screen, exactly as many as it has and none too wide.
func (d *dash) lines() []string {
	head, foot := d.frame()
	room := max(0, d.high-len(head)-len(foot))
	body := d.body(room)
	body = body[:min(len(body), room)]
	if d.stale() && d.page != pageLog && !d.help { // it fades; the head says why
		for i := range body {
			body[i] = styled(faint, plainText(body[i]))
		}
	}
	for len(body) < room {
		body = append(body, "")
	}
	all := slices.Concat(head, body, foot)
	for i := range all {
		if i == d.high-2 && d.prompt == nil && len(foot) == 2 && width(all[i]) > d.wide { // it goes on below
			all[i] = ansi.Cut(all[i], 0, d.wide)
		}
		if all[i] = cut(all[i], d.wide); d.cfg.ASCII {
			all[i] = ascii(all[i])
		}
	}
	return all[:min(len(all), max(d.high, 0))]
}

func (d *dash) body(room int) []string {
	switch {
	case d.help:
		return d.helpText()
	case d.page == pageLog:
		return d.logPage(room)
	case d.page == pageEvents:
		return d.eventsPage(room)
	case d.got.IsZero():
		return d.waiting()
	}
	switch d.page {
	case pageSlaves:
		return d.slavesPage(room)
	case pageBuilds:
		return d.buildsPage(room)
	case pageQueue:
		return d.queuePage(room)
	case pageFailures:
		return d.failuresPage(room)
	}
	return d.farmPage(room)
}

// waiting is shown before anything is known.
func (d *dash) waiting() []string {
	list := []string{"Waiting for the farm at " + clean(d.place.Where) + " …"}
	if d.err != nil {
		list = append(list, styled(yellow, clean(told(d.err))))
	}
	return list
}

// header says what is looked at, as whom, and how old that is.
func (d *dash) header() string {
	where := styled(bold, "pinwheel") + " " + clean(d.place.Where)
	if d.place.Name != "" && d.wide >= 60 {
		where += styled(faint, " as "+string(d.place.Role)+" "+d.place.Name)
	}
	state := d.freshness()
	if d.place.Demo {
		demo := "DEMO, invented data"
		if d.wide < 50 {
			demo = "DEMO"
		}
		state = styled(bold+";"+yellow, demo) + " " + state
	}
	room := d.wide - width(state) - 1
	return fit(where, max(0, room)) + " " + state
}

func (d *dash) freshness() string {
	now := d.cfg.Now()
	switch {
	case d.got.IsZero():
		return styled(reverse+";"+yellow, " no data yet ")
	case d.stale():
		return styled(reverse+";"+red, " STALE: of "+age(now.Sub(d.got))+" ago ")
	case d.wide < 50:
		return styled(green, "live")
	}
	return d.clock(d.now()) + " " + styled(green, "live")
}

func (d *dash) tabs() string {
	var list []string
	for i, name := range pageNames() {
		text := fmt.Sprintf(" %d %s ", i+1, name)
		switch i {
		case pageSlaves:
			text = fmt.Sprintf(" %d %s %d ", i+1, name, len(d.snap.Slaves))
		case pageBuilds:
			text = fmt.Sprintf(" %d %s %d ", i+1, name, len(d.snap.Builds))
		}
		if i == d.page {
			text = styled(reverse, "["+strings.TrimSpace(text)+"]")
		}
		list = append(list, text)
	}
	return strings.Join(list, "")
}

// line is the question under way, or what came of the last wish, or what is wrong.
func (d *dash) line() string {
	switch {
	case d.prompt != nil && d.prompt.words:
		ask := cut(d.prompt.ask, max(1, d.wide*2/3))
		return styled(bold, ask) + tail(string(d.prompt.text)+"_", max(1, d.wide-width(ask)))
	case d.prompt != nil:
		return styled(bold+";"+yellow, d.prompt.ask)
	case d.note != "":
		return styled(d.noteStyle, d.note)
	case d.err != nil && d.stale():
		return styled(red, "reconnecting: "+clean(told(d.err)))
	case d.err != nil && !d.got.IsZero():
		return styled(yellow, clean(told(d.err)))
	}
	return ""
}

// keysLine names the keys of the page, the most wanted first: what does not fit is in
// the help.
func (d *dash) keysLine() string {
	if d.prompt != nil && d.prompt.words {
		return "enter: go on   esc: do nothing"
	} else if d.prompt != nil {
		return d.prompt.keys
	}
	var keys string
	switch d.page {
	case pageSlaves:
		keys = "s sort  p pause  r resume  a abort  e quit slave  enter log"
	case pageBuilds:
		keys = "↑↓ choose  enter log  a abort  p pause slave  x skip"
	case pageQueue:
		keys = "↑↓ choose  + priority  x skip"
	case pageFailures:
		keys = "↑↓ choose  enter log  r requeue  R all of cause  x skip"
	case pageEvents:
		keys = "↑↓ look back  G newest"
	case pageLog:
		keys = "f follow  / search  n N next  s save  o build  ←→ shift"
	default:
		keys = "1-7 pages"
	}
	if d.cfg.ASCII {
		keys = strings.NewReplacer("↑↓", "jk", "←→", "<>").Replace(keys)
	}
	return keys + "  ? help  q leave"
}

// table shows rows below the heads of their columns, with the chosen one in sight.
func (d *dash) table(room int, head string, rows []string, empty string) []string {
	if len(rows) == 0 {
		return []string{styled(faint, empty)}
	}
	c := &d.cursors[d.page]
	c.at = min(c.at, len(rows)-1)
	high := max(1, room-1)
	c.top = min(max(c.top, c.at-high+1), c.at)
	c.top = max(0, min(c.top, len(rows)-high))
	list := []string{"  " + styled(bold, cut(head, d.wide-2))}
	for i := c.top; i < min(len(rows), c.top+high); i++ {
		if i == c.at {
			list = append(list, styled(reverse, fit("> "+plainText(rows[i]), d.wide)))
			continue
		}
		list = append(list, "  "+rows[i])
	}
	return list
}

func (d *dash) helpText() []string {
	list := []string{
		styled(bold, "Keys"),
		"1-7, tab   pages: farm, slaves, builds, queue, failures, events, log",
		"j k g G    up, down, first, last; pgup and pgdown too",
		"q          leave (nothing at the farm changes)",
		"slaves     s sort, S turn round, p pause, r resume, a abort its build,",
		"           e have it quit when its build is done, enter its log",
		"builds     enter log, a abort, p pause the slave, x skip",
		"queue      + priority of the job, x skip",
		"failures   enter log, r requeue the example, R requeue all of that cause, x skip",
		"log        f follow, / search, n N next, previous, s save, o another build",
		"Whatever changes the farm is asked for twice, and stands in `master history`.",
	}
	if d.place.Role != "operator" {
		list = append(list, "Credentials of a monitor may look; those of an operator may steer.")
	}
	return append(list, "", styled(faint, "any key: back"))
}

func stateOf(t bus.TargetNow, state string) int64 { return t.Jobs[state] }
