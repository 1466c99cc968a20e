package monitor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pinwheel/internal/bus"
)

// What the loop is told, beside keys and sizes.
type (
	tickMsg   struct{}
	lookMsg   struct{}
	lookedMsg struct {
		snap bus.Snapshot
		err  error
	}
	steeredMsg struct {
		wish string
		got  bus.Steered
		err  error
	}
	partMsg struct {
		build, offset int64
		part          bus.LogPart
		err           error
	}
	savedMsg struct {
		path string
		err  error
	}
)

// second is how often the clock goes on, and what came meanwhile is shown.
const second = time.Second

// Init implements tea.Model.
func (d *dash) Init() tea.Cmd { return tea.Batch(d.look, d.tick()) }

func (d *dash) tick() tea.Cmd { return d.after(second, func(time.Time) tea.Msg { return tickMsg{} }) }

// look asks for a snapshot. The farm has as long as two looks are apart, or a slow one
// five seconds: the screen says that it is old meanwhile.
func (d *dash) look() tea.Msg {
	ctx, cancel := context.WithTimeout(d.ctx, max(d.cfg.Every, 5*time.Second))
	defer cancel()
	snap, err := d.cfg.Source.Snapshot(ctx)
	return lookedMsg{snap, err}
}

// Update implements tea.Model.
func (d *dash) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		d.wide, d.high = m.Width, m.Height
	case tickMsg:
		return d, tea.Batch(d.tick(), d.gather())
	case lookMsg:
		return d, d.look
	case lookedMsg:
		if m.err != nil {
			d.err = m.err
		} else {
			d.take(m.snap, d.cfg.Now())
		}
		again := d.after(d.cfg.Every, func(time.Time) tea.Msg { return lookMsg{} })
		return d, tea.Batch(again, d.ended())
	case onceMsg:
		if m.err == nil {
			d.take(m.snap, d.cfg.Now())
		}
	case partMsg:
		return d, d.gotPart(m)
	case steeredMsg:
		d.steered(m)
		return d, d.look1()
	case savedMsg:
		if m.err != nil {
			d.say(red, "not saved: "+m.err.Error())
		} else {
			d.say(green, "saved as "+m.path)
		}
	case tea.KeyPressMsg:
		return d, d.key(m)
	case tea.PasteMsg:
		if d.prompt != nil {
			d.prompt.typed(m.Content)
		}
	}
	return d, nil
}

// look1 looks once out of turn: the looks go on by themselves.
func (d *dash) look1() tea.Cmd {
	return func() tea.Msg {
		m, _ := d.look().(lookedMsg)
		return onceMsg(m)
	}
}

type onceMsg lookedMsg

// gather takes what came over the wire.
func (d *dash) gather() tea.Cmd {
	events, chunks := d.inbox.take()
	d.hear(events)
	for _, c := range chunks {
		d.log.live(c)
	}
	for _, e := range events {
		if d.log.endedBy(e) {
			return d.fetch(d.log.build, 0)
		}
	}
	return nil
}

// say shows what came of something, until the next key.
func (d *dash) say(style, text string) { d.note, d.noteStyle = clean(text), style }

// told is an error as people want it: what the master said, without the way that it came.
func told(err error) string {
	if _, words, ok := strings.Cut(err.Error(), bus.ErrRefused.Error()+": "); ok {
		return words
	}
	if errors.Is(err, bus.ErrNobody) {
		return bus.ErrNobody.Error()
	}
	return err.Error()
}

func (d *dash) steered(m steeredMsg) {
	switch {
	case m.err != nil:
		d.say(red, "not done: "+told(m.err))
	case m.got.Audit > 0:
		d.say(green, m.got.Said+fmt.Sprintf("; `master undo %d` takes it back", m.got.Audit))
	default:
		d.say(green, m.got.Said)
	}
}
