package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
)

// TestNoGreeting: a start whose master does not answer says what is wrong with the way to
// it, with the remedy; and asks once more when the master is there after all.
func TestNoGreeting(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ready := 0
	d := &doctor{set: settings{NATSURL: "nats://127.0.0.1:1", StateDir: t.TempDir()}, now: time.Now}
	g := d.awaitGreeting(t.Context(), zerolog.New(&log), 0, func(string) { ready++ })
	g.asking.Wait()
	for _, want := range []string{`"remedy":"whether the master runs and listens on that address, and a firewall between"`,
		`127.0.0.1:1: connect: connection refused","message":"doctor: nats problem"`, `"message":"doctor: clock warning"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not tell %s:\n%s", want, &log)
		}
	}
	observe := g.observe(t.Context())
	observe(agent.Greeted, "")
	observe(agent.Greeted, "")
	g.end()
	if n := strings.Count(log.String(), "doctor: nats"); n != 2 || ready != 1 {
		t.Errorf("NATS was asked %d times, ready said %d times:\n%s", n, ready, &log)
	}
}

// TestGreeting: one whose master does asks once.
func TestGreeting(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	d := &doctor{set: settings{StateDir: t.TempDir()}, now: time.Now}
	g := d.awaitGreeting(t.Context(), zerolog.New(&log), time.Hour, func(string) {})
	g.observe(t.Context())(agent.Greeted, "")
	g.end()
	if n := strings.Count(log.String(), "doctor: nats"); n != 1 {
		t.Errorf("NATS was asked %d times:\n%s", n, &log)
	}
	never := d.awaitGreeting(t.Context(), zerolog.New(&log), time.Hour, func(string) {})
	never.end() // at once
}
