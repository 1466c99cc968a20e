package monitor

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// prompt is a question in the line above the help: one that is answered with a key, or
// one that is answered with a text.
type prompt struct {
	ask    string
	keys   string // that answer it
	text   []rune
	words  bool                     // it wants a text, and enter
	answer func(key string) tea.Cmd // of a key, or of the text
}

// longestAnswer is how much can be typed: a reason of a skip.
const longestAnswer = 200

func (p *prompt) typed(s string) {
	for _, r := range clean(s) {
		if len(p.text) < longestAnswer {
			p.text = append(p.text, r)
		}
	}
}

// promptKey takes a key while something is asked.
func (d *dash) promptKey(m tea.KeyPressMsg) tea.Cmd {
	p, key := d.prompt, m.String()
	switch {
	case key == "esc" || key == "ctrl+c":
		d.prompt = nil
		d.say("", "nothing was done")
	case !p.words:
		d.prompt = nil
		return p.answer(key)
	case key == "enter":
		d.prompt = nil
		return p.answer(strings.TrimSpace(string(p.text)))
	case key == "backspace":
		p.text = p.text[:max(0, len(p.text)-1)]
	case key == "ctrl+u":
		p.text = nil
	default:
		p.typed(m.Text)
	}
	return nil
}

// wish asks whether something is really meant, and has it done. Who may only look is
// told so at once.
func (d *dash) wish(what string, s bus.Steer) tea.Cmd {
	if !d.maySteer() {
		return nil
	}
	what = clean(what) // names are others'
	d.prompt = &prompt{ask: what + "?", keys: "y: yes   any other key: no", answer: func(key string) tea.Cmd {
		if key != "y" && key != "Y" {
			d.say("", "nothing was done")
			return nil
		}
		d.say("", what+" …")
		return func() tea.Msg {
			got, err := d.cfg.Source.Steer(d.ctx, s)
			return steeredMsg{what, got, err}
		}
	}}
	return nil
}

func (d *dash) maySteer() bool {
	if d.place.Role == farm.RoleOperator {
		return true
	}
	d.say(yellow, d.place.Name+" may look, not steer; `master enroll NAME --role operator` makes credentials that may")
	return false
}

// skip wants a reason first: whoever asks why something is not built is told it.
func (d *dash) skip(s bus.Steer, what string) tea.Cmd {
	if !d.maySteer() {
		return nil
	}
	d.prompt = &prompt{ask: "skip " + what + ", why: ", words: true, answer: func(reason string) tea.Cmd {
		if reason == "" {
			d.say(yellow, "a skip needs a reason; nothing was done")
			return nil
		}
		s.Do, s.Reason = bus.SteerSkip, reason
		return d.wish("skip "+what+" ("+reason+")", s)
	}}
	return nil
}

// priority wants to know which.
func (d *dash) priority(s bus.Steer, what string) tea.Cmd {
	if !d.maySteer() {
		return nil
	}
	keys := "o operator   n new   w wanted   b backlog   any other key: no"
	d.prompt = &prompt{ask: "priority of " + what + "?", keys: keys, answer: func(key string) tea.Cmd {
		p, ok := map[string]farm.Priority{"o": farm.PriorityOperator, "n": farm.PriorityNew, "w": farm.PriorityWanted, "b": farm.PriorityBacklog}[key]
		if !ok {
			d.say("", "nothing was done")
			return nil
		}
		s.Do, s.Priority = bus.SteerPriority, p
		return d.wish("queue "+what+" as "+p.Word(), s)
	}}
	return nil
}
