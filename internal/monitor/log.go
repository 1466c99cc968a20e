package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// mostLog is how much of a log is kept to be looked at, in bytes: more than a slave's
// limit lets through.
const mostLog = 32 << 20

// logView is the log of one build, as far as it is known.
type logView struct {
	build, job int64
	part       bus.LogPart // what the farm says of the build
	lines      []string    // harmless, the last one may not be whole
	bytes      int64
	open       bool // the last line goes on
	loading    bool
	following  bool // to the end, as it grows
	top, shift int
	search     string
	err        error
	stop       func() // of the live log
}

// open shows the log of a build.
func (d *dash) open(build int64) tea.Cmd {
	d.page = pageLog
	if build == d.log.build && d.log.err == nil {
		return nil
	}
	d.log.unfollow()
	d.log = logView{build: build, loading: true, following: true}
	return d.fetch(build, 0)
}

func (d *dash) fetch(build, offset int64) tea.Cmd {
	return func() tea.Msg {
		part, err := d.cfg.Source.Log(d.ctx, build, offset)
		return partMsg{build, offset, part, err}
	}
}

// gotPart takes what the farm answered: a piece of a stored log, or that the build is
// under way, which is then listened to.
func (d *dash) gotPart(m partMsg) tea.Cmd {
	l := &d.log
	if m.build != l.build {
		return nil // another one is shown by now
	}
	if m.err != nil {
		l.err, l.loading = m.err, false
		return nil
	}
	l.part, l.job, l.err = m.part, m.part.Job, nil
	if m.part.Outcome == "" {
		l.loading = false
		if l.stop == nil {
			stop, err := d.cfg.Source.Follow(l.job, d.inbox.chunk)
			if err != nil {
				l.err = err
				return nil
			}
			l.stop = stop
		}
		return nil
	}
	l.unfollow()
	if m.offset == 0 {
		l.lines, l.bytes, l.open = nil, 0, false
	}
	l.write(m.part.Data)
	if l.loading = m.part.More && l.bytes < mostLog; l.loading {
		return d.fetch(l.build, m.offset+int64(len(m.part.Data)))
	}
	return nil
}

// ended asks for the whole log when the build is not under way any more.
func (d *dash) ended() tea.Cmd {
	l := &d.log
	if l.stop == nil || slices.ContainsFunc(d.snap.Builds, func(b bus.BuildNow) bool { return b.Build == l.build }) {
		return nil
	}
	return d.fetch(l.build, 0)
}

// endedBy says whether an event is the end of the build that is listened to.
func (l *logView) endedBy(e bus.Event) bool {
	return l.stop != nil && e.Package == l.part.Package && e.Version == l.part.Version && e.Target == l.part.Target && e.Kind != "leased"
}

func (l *logView) unfollow() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// live takes a piece of the log of the build that is listened to.
func (l *logView) live(c bus.LogChunk) {
	if l.stop == nil || c.Job != l.job {
		return
	}
	if l.bytes == 0 && c.Offset > c.Missed {
		l.write(fmt.Appendf(nil, "--- %d bytes came before; the whole log is shown when the build has ended ---\n", c.Offset))
	} else if c.Missed > 0 {
		l.write(fmt.Appendf(nil, "\n--- %d bytes were left out: more was written than is sent ---\n", c.Missed))
	}
	l.write(c.Data)
}

// write appends text, made harmless line by line.
func (l *logView) write(data []byte) {
	l.bytes += int64(len(data))
	if l.bytes > mostLog {
		return
	}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.ReplaceAll(line, "\t", "    ")
		if i == 0 && l.open {
			l.lines[len(l.lines)-1] += farm.Clean(line)
			continue
		}
		l.lines, l.open = append(l.lines, farm.Clean(line)), true
	}
}

// shown are the lines without the empty one behind the last end of a line.
func (l *logView) shown() []string {
	if n := len(l.lines); n > 0 && l.lines[n-1] == "" {
		return l.lines[:n-1]
	}
	return l.lines
}

func (d *dash) logPage(room int) []string {
	l := &d.log
	if l.build == 0 {
		return []string{"No log is open. Choose a build or a failure and press enter, or press o and type a build's number."}
	}
	list := []string{""} // the head, which tells what is in sight
	if l.err != nil {
		list = append(list, styled(red, clean(l.err.Error())))
	}
	lines := l.shown()
	high := max(1, room-len(list))
	if l.following {
		l.top = len(lines) - high
	}
	l.top = max(0, min(l.top, len(lines)-1))
	list[0] = d.logHead()
	for _, line := range lines[l.top:min(len(lines), l.top+high)] {
		list = append(list, marked(shifted(line, l.shift, d.wide), l.search))
	}
	if len(lines) == 0 && l.err == nil {
		text := "it left no log"
		if l.loading {
			text = "loading …"
		} else if l.part.Outcome == "" {
			text = "waiting for the next words of the build …"
		}
		list = append(list, styled(faint, text))
	}
	return list
}

func (d *dash) logHead() string {
	l, p := &d.log, d.log.part
	text := fmt.Sprintf("build %d", l.build)
	if lines := l.shown(); len(lines) > 0 {
		text += fmt.Sprintf(" line %d/%d", min(l.top+1, len(lines)), len(lines))
	}
	if l.following {
		text += " following"
	}
	if p.Package != "" {
		end := strings.Join(strings.Fields(p.Outcome+" "+string(p.Cause)+" "+p.Detail), " ")
		if p.Outcome == "" {
			end = "under way, live"
		}
		text += fmt.Sprintf(": %s %s, %s, %s on %s", p.Package, p.Version, end, p.Target, p.Slave)
	}
	return styled(bold, clean(text))
}

// shifted is a line from a character on, as much of it as a screen may show: a line can
// be as long as the log.
func shifted(line string, by, wide int) string {
	from, n := len(line), 0
	for i := range line {
		if n == by {
			from = i
		}
		if n++; n > by+2*wide {
			return line[from:i]
		}
	}
	return line[from:]
}

// marked shows what is searched for in reverse.
func marked(line, search string) string {
	if search == "" {
		return line
	}
	low, want := strings.ToLower(line), strings.ToLower(search)
	at := strings.Index(low, want)
	if at < 0 || len(low) != len(line) { // folding changed its length: places would not fit
		return line
	}
	return line[:at] + styled(reverse, line[at:at+len(want)]) + line[at+len(want):]
}

func (d *dash) logKey(key string) tea.Cmd {
	l := &d.log
	page := max(1, d.room()-1)
	last := max(0, len(l.shown())-page)
	if step, ok := map[string]int{
		"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -page, "b": -page, "pgdown": page, "space": page,
		"home": -1 << 30, "g": -1 << 30,
	}[key]; ok {
		l.following = false
		l.top = min(max(0, l.top+step), last)
		return nil
	}
	switch key {
	case "end", "G", "f":
		l.following = !l.following || key != "f"
	case "left":
		l.shift = max(0, l.shift-20)
	case "right":
		l.shift += 20
	case "/":
		d.prompt = &prompt{ask: "search: ", words: true, answer: func(text string) tea.Cmd {
			l.search = text
			d.find(0, 1)
			return nil
		}}
	case "n":
		d.find(1, 1)
	case "N":
		d.find(-1, -1)
	case "s":
		return d.save()
	case "o":
		d.prompt = &prompt{ask: "number of the build: ", words: true, answer: func(text string) tea.Cmd {
			build, err := strconv.ParseInt(text, 10, 64)
			if err != nil || build < 1 {
				d.say(yellow, strconv.Quote(text)+" is no number of a build")
				return nil
			}
			return d.open(build)
		}}
	}
	return nil
}

// find goes to the next line that has what is searched for.
func (d *dash) find(first, step int) {
	l := &d.log
	if l.search == "" {
		return
	}
	want, lines := strings.ToLower(l.search), l.shown()
	for i := 0; i < len(lines); i++ {
		at := ((l.top+first+i*step)%len(lines) + len(lines)) % len(lines)
		if strings.Contains(strings.ToLower(lines[at]), want) {
			l.top, l.following = at, false
			return
		}
	}
	d.say(yellow, "no line has "+strconv.Quote(l.search))
}

var unsafeInNames = regexp.MustCompile(`[^A-Za-z0-9._+-]+`)

// save writes what is shown of the log into a new file; one that is there stays.
func (d *dash) save() tea.Cmd {
	l := &d.log
	lines := l.shown()
	if len(lines) == 0 {
		d.say(yellow, "there is nothing to save")
		return nil
	}
	p := l.part
	name := strings.Trim(unsafeInNames.ReplaceAllString(fmt.Sprintf("%s-%s-%s-build%d", p.Package, p.Version, p.Target, l.build), "_"), "._-")
	path := filepath.Join(d.cfg.Folder, name+".log")
	text := strings.Join(lines, "\n") + "\n"
	return func() tea.Msg { return savedMsg{path, writeNew(path, text)} }
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}
