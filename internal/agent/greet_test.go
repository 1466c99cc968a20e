package agent

import (
	"testing"
	"time"

	"pinwheel/internal/bus"
)

func TestInterval(t *testing.T) {
	t.Parallel()
	tests := []struct {
		welcome bus.Welcome
		want    time.Duration
	}{
		{bus.Welcome{Beat: time.Second, Lease: time.Minute}, time.Second},
		{bus.Welcome{Lease: time.Minute}, 20 * time.Second},
		{bus.Welcome{}, 20 * time.Second},
		{bus.Welcome{Beat: -1, Lease: -1}, 20 * time.Second},
	}
	for _, test := range tests {
		if got := interval(test.welcome); got != test.want {
			t.Errorf("interval(%+v) = %v, want %v", test.welcome, got, test.want)
		}
	}
}
