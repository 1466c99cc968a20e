package simulate

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestPlot: it is XML, and tells each run's days and idle time.
func TestPlot(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	text := plot([]result{
		{slaves: 20, versions: 750_000, took: 6 * day, ideal: 5 * day, idle: 0.0042},
		{slaves: 200, versions: 150_000, took: 15 * time.Hour, tail: 3 * time.Hour, ideal: 6 * time.Hour, idle: 0.5},
	}, 100*day)
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	for _, want := range []string{">6<", ">0.42<", ">1.12<", ">50.00<", "all 750,000 versions", "(150,000 by 200)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
