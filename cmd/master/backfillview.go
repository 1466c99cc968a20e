package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/cli"
)

// fillView shows how far a backfill is: on a terminal one line that is drawn over
// itself, elsewhere a line now and then.
type fillView struct {
	mu    sync.Mutex // log lines come from everywhere
	out   io.Writer
	live  bool
	drawn bool
	rate  rate
	last  time.Time // of a plain line
	begun bool      // as it said
	now   func() time.Time
}

// plainEvery is how often a log is told how far it is.
const plainEvery = 10 * time.Second

func newFillView(out io.Writer) *fillView {
	return &fillView{out: out, live: cli.IsTerminal(out), now: time.Now}
}

// logger is log as it goes with the line: on a terminal only what people must know.
func (v *fillView) logger(log zerolog.Logger) zerolog.Logger {
	if !v.live {
		return log
	}
	if log.GetLevel() == zerolog.InfoLevel {
		log = log.Level(zerolog.WarnLevel)
	}
	return log.Hook(zerolog.HookFunc(func(*zerolog.Event, zerolog.Level, string) { v.clear() }))
}

// say writes a line for people that stays.
func (v *fillView) say(format string, args ...any) {
	v.clear()
	cli.Say(v.out, format, args...)
}

// clear leaves the line to what is said next.
func (v *fillView) clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.drawn {
		fmt.Fprint(v.out, "\r\x1b[K")
		v.drawn = false
	}
}

func (v *fillView) show(s fillState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	if s.begun {
		v.rate.note(now, s.read())
	}
	if v.live {
		wide, _ := size(v.out)
		fmt.Fprintf(v.out, "\r\x1b[K%s", v.rate.bar(s, wide-1)) // in the last column some terminals wrap
		v.drawn = true
		return
	}
	if now.Sub(v.last) >= plainEvery || s.begun != v.begun {
		v.last, v.begun = now, s.begun
		cli.Say(v.out, "%s", v.rate.words(s))
	}
}

// rate is how fast projects are read, over the last minute.
type rate struct{ seen []sample }

type sample struct {
	at   time.Time
	read int64
}

const rateOver = time.Minute

func (r *rate) note(at time.Time, read int64) {
	r.seen = append(r.seen, sample{at, read})
	for len(r.seen) > 2 && at.Sub(r.seen[1].at) >= rateOver {
		r.seen = r.seen[1:]
	}
}

// perSecond is 0 while it is not known.
func (r *rate) perSecond() float64 {
	if len(r.seen) < 2 {
		return 0
	}
	first, last := r.seen[0], r.seen[len(r.seen)-1]
	took := last.at.Sub(first.at).Seconds()
	if took <= 0 || last.read <= first.read {
		return 0
	}
	return float64(last.read-first.read) / took
}

// words say how far it is.
func (r *rate) words(s fillState) string {
	if !s.begun && s.trouble != "" {
		return "no list of names: " + s.trouble
	}
	if !s.begun {
		return "reading the upstream's list of names"
	}
	text := fmt.Sprintf("%s of %s read", grouped(s.read()), grouped(s.chosen))
	if per := r.perSecond(); per > 0 {
		text += fmt.Sprintf(", %s/s", perSecond(per))
		if s.left > 0 {
			text += ", " + span(roundTime(time.Duration(float64(s.left)/per*float64(time.Second)))) + " left"
		}
	}
	if s.troubled > 0 {
		text += fmt.Sprintf(", %s troubled", grouped(s.troubled))
	}
	return text + fmt.Sprintf(", %s queued", grouped(s.queued))
}

func perSecond(f float64) string {
	if f < 10 {
		return fmt.Sprintf("%.1f", f)
	}
	return grouped(int64(f + 0.5))
}

// roundTime leaves out what is only guessed.
func roundTime(d time.Duration) time.Duration {
	if d >= time.Minute {
		return d.Round(time.Minute)
	}
	return d.Round(time.Second)
}

// bar is the words with a bar before them, where the line has room for one.
func (r *rate) bar(s fillState, wide int) string {
	text := r.words(s)
	const long = 12 // always: it must not jump about
	if !s.begun || long+len([]rune(text))+len("[] ") > wide {
		return cut(text, wide)
	}
	full := long
	if s.chosen > 0 {
		full = int(min(s.chosen, s.read()) * long / s.chosen)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", long-full) + "] " + text
}
