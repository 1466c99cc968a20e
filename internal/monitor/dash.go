package monitor

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"pinwheel/internal/bus"
)

// Config says how a farm is shown.
type Config struct {
	Source Source
	Every  time.Duration // between two looks
	Now    func() time.Time
	ASCII  bool   // no other characters are shown by the terminal
	Folder string // where logs are saved; empty: the current one
}

// Screen is the terminal.
type Screen struct {
	In   io.Reader
	Out  io.Writer
	Env  []string
	Size [2]int // columns and lines; zero: ask the terminal
}

// fps bounds how often the screen is written: a slow line gets the difference of two
// moments a tenth of a second apart, and a key still seems to act at once.
const fps = 10

// Run shows the farm until ctx ends or the person leaves.
func Run(ctx context.Context, cfg Config, s Screen) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel() // what is asked or waited for when the person leaves is of no use
	d := newDash(asking, cfg)
	opts := []tea.ProgramOption{
		tea.WithInput(s.In), tea.WithOutput(s.Out), tea.WithEnvironment(s.Env), tea.WithFPS(fps), tea.WithoutSignalHandler(),
	}
	if s.Size != [2]int{} {
		opts = append(opts, tea.WithWindowSize(s.Size[0], s.Size[1]))
	}
	stop, err := cfg.Source.Events(d.inbox.event)
	if err != nil {
		return err
	}
	defer stop()
	p := tea.NewProgram(d, opts...)
	defer context.AfterFunc(ctx, p.Quit)()
	_, err = p.Run()
	d.log.unfollow()
	if errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// The pages, in the order of their keys.
const (
	pageFarm = iota
	pageSlaves
	pageBuilds
	pageQueue
	pageFailures
	pageEvents
	pageLog
	pageCount
)

func pageNames() []string {
	return []string{"Farm", "Slaves", "Builds", "Queue", "Failures", "Events", "Log"}
}

// dash is the dashboard: what is known of the farm, and what of it is shown. All of it
// belongs to the program's one loop, but for inbox.
type dash struct {
	cfg   Config
	ctx   context.Context // of what is asked
	after func(time.Duration, func(time.Time) tea.Msg) tea.Cmd
	place Place
	seen
	inbox inbox

	wide, high int
	page       int
	cursors    [pageCount]cursor
	sortBy     int
	backwards  bool
	lookBack   bool // at events that are not the newest
	log        logView
	prompt     *prompt
	note       string // what came of the last wish
	noteStyle  string
	help       bool
}

// cursor is the chosen row of a page, and the first that is shown.
type cursor struct{ at, top int }

func newDash(ctx context.Context, cfg Config) *dash {
	d := &dash{cfg: cfg, ctx: ctx, place: cfg.Source.Place(), wide: 80, high: 24}
	d.after = d.timer
	return d
}

// timer says something after a time, unless the program ends before.
func (d *dash) timer(long time.Duration, say func(time.Time) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		t := time.NewTimer(long)
		defer t.Stop()
		select {
		case now := <-t.C:
			return say(now)
		case <-d.ctx.Done():
			return nil
		}
	}
}

// inbox keeps what comes over the wire until the next tick takes it: however much that
// is, the screen changes once.
type inbox struct {
	mu     sync.Mutex
	events []bus.Event
	chunks []bus.LogChunk
}

func (b *inbox) event(e bus.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.events = append(b.events, e); len(b.events) > 2*mostEvents {
		b.events = append([]bus.Event(nil), b.events[mostEvents:]...)
	}
}

func (b *inbox) chunk(c bus.LogChunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chunks = append(b.chunks, c)
}

func (b *inbox) take() ([]bus.Event, []bus.LogChunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, c := b.events, b.chunks
	b.events, b.chunks = nil, nil
	return e, c
}

// clock is a time of day where we are.
func (d *dash) clock(at time.Time) string {
	return at.In(d.cfg.Now().Location()).Format(time.TimeOnly)
}

// fresh is how long after the last snapshot the farm is shown as it was.
func (d *dash) fresh() time.Duration { return max(3*d.cfg.Every, 5*time.Second) }

// stale says whether what is shown is old.
func (d *dash) stale() bool { return !d.got.IsZero() && d.cfg.Now().Sub(d.got) > d.fresh() }

// now is the farm's time. It stands still when what is shown is stale: all of it is of
// the same moment.
func (d *dash) now() time.Time {
	return d.snap.At.Add(min(d.cfg.Now().Sub(d.got), d.fresh()))
}
