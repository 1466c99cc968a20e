package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"pinwheel/internal/bus"
)

// Once prints the farm as JSON or, for people, as the pages that the dashboard has.
func Once(ctx context.Context, cfg Config, out io.Writer, wide int, asJSON bool) error {
	snap, err := cfg.Source.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("look at the farm: %w", err)
	}
	if asJSON {
		return printJSON(out, snap, cfg.Source.Place())
	}
	_, err = io.WriteString(out, pagesOf(ctx, cfg, snap, wide))
	return err
}

// printJSON prints the snapshot as it came, in the form of all commands.
func printJSON(out io.Writer, snap bus.Snapshot, place Place) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	type told bus.Snapshot
	return enc.Encode(struct {
		Schema int  `json:"schema"`
		Demo   bool `json:"demo"` // it is invented
		told

		Protocol *int    `json:"protocol,omitempty"` // these two are the wire's, and hidden
		Error    *string `json:"error,omitempty"`
	}{Schema: 1, Demo: place.Demo, told: told(snap)})
}

// pagesOf is the farm in plain text, without styles: as wide as is wanted, and as high
// as it is.
func pagesOf(ctx context.Context, cfg Config, snap bus.Snapshot, wide int) string {
	d := newDash(ctx, cfg)
	d.wide = wide
	d.take(snap, cfg.Now())
	var b strings.Builder
	b.WriteString(plainText(d.header()) + "\n\n")
	for _, show := range []struct {
		page int
		body func(room int) []string
	}{{pageFarm, d.farmPage}, {pageSlaves, d.slavesPage}, {pageBuilds, d.buildsPage}, {pageFailures, d.failuresPage}} {
		d.page = show.page
		room := 1 << 16
		if show.page == pageFarm {
			room = 0 // builds have a page of their own below
		}
		for _, line := range show.body(room) {
			line = strings.TrimRight(cut(plainText(line), wide), " ")
			if strings.HasPrefix(line, "> ") { // nothing is chosen here
				line = "  " + line[2:]
			}
			if cfg.ASCII {
				line = ascii(line)
			}
			b.WriteString(line + "\n")
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// remindEvery is how often Plain says how the farm is.
const remindEvery = time.Minute

// Plain is the farm where there is no screen to draw on: the pages once, then a line
// for each event, and now and then how the farm is, until ctx ends.
func Plain(ctx context.Context, cfg Config, out io.Writer, wide int) error {
	var in inbox
	stop, err := cfg.Source.Events(in.event)
	if err != nil {
		return err
	}
	defer stop()
	tick := time.NewTicker(second)
	defer tick.Stop()
	var next time.Time
	first, d := true, newDash(ctx, cfg)
	for {
		if now := cfg.Now(); !now.Before(next) {
			next = now.Add(remindEvery)
			if first, err = remind(ctx, cfg, out, wide, first); err != nil {
				return err
			}
			if first {
				next = now.Add(remindEvery / 6)
			}
		}
		events, _ := in.take()
		for _, e := range events {
			if _, err := fmt.Fprintln(out, cut(plainText(d.eventLine(e)), wide)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// remind says how the farm is: all of it the first time, then in a line. It says too
// when nobody answers, and is then still to say it for the first time.
func remind(ctx context.Context, cfg Config, out io.Writer, wide int, first bool) (bool, error) {
	snap, err := cfg.Source.Snapshot(ctx)
	switch {
	case ctx.Err() != nil:
		return first, nil
	case err != nil:
		_, err = fmt.Fprintln(out, cut("no answer: "+clean(told(err)), wide))
		return first, err
	case first:
		_, err = io.WriteString(out, pagesOf(ctx, cfg, snap, wide)+"\n")
		return false, err
	}
	d := newDash(ctx, cfg)
	d.take(snap, cfg.Now())
	_, err = fmt.Fprintln(out, cut(d.clock(snap.At)+" farm     "+plainText(strings.TrimPrefix(d.slavesLine(), "SLAVES      "))+
		fmt.Sprintf(" slaves, building %d, %.1f built a minute", len(snap.Builds), perMinute(snap.Pace.Built, 10)), wide))
	return false, err
}
