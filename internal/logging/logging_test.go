package logging

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]string{
		"debug": "debug info warn error", "info": "info warn error", "warn": "warn error", "error": "error",
	} {
		var b bytes.Buffer
		log, err := New(&b, level, false)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug().Send()
		log.Info().Send()
		log.Warn().Send()
		log.Error().Send()
		var got []string
		for dec := json.NewDecoder(&b); dec.More(); {
			var line struct{ Level string }
			if err := dec.Decode(&line); err != nil {
				t.Fatal(err)
			}
			got = append(got, line.Level)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", level, diff)
		}
	}
}

func TestNoLevel(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"", "INFO", "trace", "fatal", "panic", "disabled", "1", "-1", "7", "verbose", "info "} {
		var b bytes.Buffer
		log, err := New(&b, level, false)
		if err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
			t.Errorf("%q: error %v", level, err)
		}
		if log.Error().Msg("lost"); b.Len() > 0 {
			t.Errorf("%q: a refused logger writes %s", level, &b)
		}
	}
}

// TestForms: JSON lines for machines, and for people a line without the colours
// that a log file would keep.
func TestForms(t *testing.T) {
	t.Parallel()
	var machine, human bytes.Buffer
	for w, people := range map[*bytes.Buffer]bool{&machine: false, &human: true} {
		log, err := New(w, "info", people)
		if err != nil {
			t.Fatal(err)
		}
		log.Info().Str("slave", "pi").Int64("job", 7).Msg("leased")
	}
	var line struct {
		Time    time.Time
		Slave   string
		Job     int64
		Message string
	}
	if err := json.Unmarshal(machine.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Slave != "pi" || line.Job != 7 || line.Message != "leased" || line.Time.IsZero() {
		t.Errorf("%s", &machine)
	}
	for _, want := range []string{"INF", "leased", "slave=pi", "job=7"} {
		if !strings.Contains(human.String(), want) {
			t.Errorf("%s is not in %q", want, human.String())
		}
	}
	if strings.Contains(human.String(), "\x1b") || strings.Count(human.String(), "\n") != 1 {
		t.Errorf("%q", human.String())
	}
}
