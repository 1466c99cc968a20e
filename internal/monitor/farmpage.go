package monitor

import (
	"fmt"
	"strings"

	"pinwheel/internal/bus"
)

// farmPage is the farm on one screen: what is to be done, how fast, what lags, what is
// wrong, and in what room is left what is built now.
func (d *dash) farmPage(room int) []string {
	list := d.targetLines()
	list = append(list, "")
	list = append(list, d.paceLines()...)
	list = append(list, d.ingestLine(), d.publishLine(), d.slavesLine(), d.stockLine())
	if d.snap.Counted != nil {
		list = append(list, styled(faint, "            jobs, releases and wheels were counted "+age(d.now().Sub(*d.snap.Counted))+" ago"))
	}
	if left := room - len(list); left >= 3 && len(d.snap.Builds) > 0 {
		list = append(list, "", styled(bold, "BUILDING NOW, the longest first"))
		for _, b := range d.snap.Builds[:min(len(d.snap.Builds), left-2)] {
			list = append(list, d.buildLine(b))
		}
	}
	if left := room - len(list); left >= 4 && len(d.events) > 0 {
		list = append(list, "", styled(bold, "LAST EVENTS"))
		for _, e := range d.events[max(0, len(d.events)-left+2):] {
			list = append(list, d.eventLine(e))
		}
	}
	return list
}

func (d *dash) targetLines() []string {
	const numbers = 8
	states := stateNames()
	wide := max(8, min(24, d.wide-numbers*len(states)))
	head := fit("TARGET", wide)
	for _, s := range states {
		head += right(s, numbers)
	}
	list := []string{styled(bold, head)}
	for _, t := range d.snap.Targets {
		line := fit(clean(t.Target), wide)
		for _, s := range states {
			n := stateOf(t, s)
			text := right(number(n), numbers)
			switch {
			case n == 0:
				text = styled(faint, text)
			case s == "failed":
				text = styled(red, text)
			case s == "leased":
				text = styled(green, text)
			}
			line += text
		}
		list = append(list, line)
	}
	if len(d.snap.Targets) == 0 {
		list = append(list, "this farm has no target; `master target add` makes one")
	}
	for _, t := range d.snap.Targets {
		if t.Unserved > 0 {
			list = append(list, styled(yellow, fmt.Sprintf("no live slave takes %s queued for %s; `master queue` says why", plural(t.Unserved, "job"), clean(t.Target))))
		}
	}
	return list
}

// paceLines are the ends of builds, per minute.
func (d *dash) paceLines() []string {
	p := d.snap.Pace
	ten := func(list []int64) string { return fmt.Sprintf("%.1f", perMinute(list, 10)) }
	span := "last hour"
	if p.Span < 3600 {
		span = "last " + age(seconds(p.Span))
	}
	hour := fmt.Sprintf("%s: %s built, %s failed, %s lost", span, number(sum(p.Built)), number(sum(p.Failed)), number(sum(p.Lost)))
	built := floats(p.Built)
	return []string{
		fmt.Sprintf("RATE        %s built, %s failed, %s lost a minute", ten(p.Built), ten(p.Failed), ten(p.Lost)),
		"            " + styled(green, spark(built, min(60, max(10, d.wide-54)), 0, largest(built, 1), d.cfg.ASCII)) + "  " + hour,
	}
}

func (d *dash) ingestLine() string {
	i := d.snap.Ingest
	var parts []string
	switch i.Source {
	case "":
		parts = append(parts, "nothing is followed yet")
	case "none":
		parts = append(parts, "no event source")
	default:
		parts = append(parts, fmt.Sprintf("%s at %d", i.Source, i.Serial))
	}
	if i.Asked != nil {
		parts = append(parts, "answered "+age(d.now().Sub(*i.Asked))+" ago")
	}
	lag := "nothing to read"
	if i.Reading > 0 {
		lag = plural(i.Reading, "project") + " to read"
		if i.Oldest > 0 {
			lag += ", lag " + age(seconds(i.Oldest))
		}
	}
	line := "INGEST      " + clean(strings.Join(append(parts, lag), ", "))
	if i.Trouble != "" && i.Source != "none" {
		line += " " + styled(yellow, clean(i.Trouble))
	}
	return line
}

func (d *dash) publishLine() string {
	p := d.snap.Publish
	if p.Pages == 0 {
		return "PUBLISH     all pages are written"
	}
	return fmt.Sprintf("PUBLISH     %s to write, lag %s", plural(p.Pages, "page"), age(seconds(p.Oldest)))
}

func (d *dash) slavesLine() string {
	count := map[string]int{}
	for _, s := range d.snap.Slaves {
		count[slaveState(s, d.now())]++
	}
	line := fmt.Sprintf("SLAVES      %d:", len(d.snap.Slaves))
	for _, state := range []string{"busy", "idle", "paused", "unfit", "silent", "never"} {
		if n := count[state]; n > 0 {
			word := state
			if state == "never" {
				word = "never heard"
			}
			line += fmt.Sprintf(" %s", styled(stateStyle(state), fmt.Sprintf("%d %s", n, word)))
		}
	}
	return line
}

func (d *dash) stockLine() string {
	s := d.snap
	return fmt.Sprintf("STOCK       %s, %s, %s (%s)", plural(s.Packages, "package"), plural(s.Releases, "release"), plural(s.Wheels, "wheel"), size(s.WheelBytes))
}

// packageWide is how wide the names of packages are in lists of builds.
func (d *dash) packageWide() int { return min(max(16, (d.wide-2-8)*4/10), 44) }

// buildLine is one build under way.
func (d *dash) buildLine(b bus.BuildNow) string {
	what := d.packageWide()
	target := min(24, max(10, d.wide/4))
	return right(age(d.now().Sub(b.Since)), 6) + "  " + fit(clean(b.Package+" "+b.Version), what) + " " +
		fit(clean(b.Target), target) + " " + clean(b.Slave)
}
