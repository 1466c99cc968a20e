package desk

import (
	"encoding/json"
	"strings"
	"testing"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestSnapshotFits: however many slaves say however much, the answer is a message, and
// what it leaves out is counted.
func TestSnapshotFits(t *testing.T) {
	t.Parallel()
	rows := make([]store.SlaveRow, 900)
	for i := range rows {
		long := strings.Repeat("<&>\x1b", 1000)
		rows[i] = store.SlaveRow{Name: "pi", Role: farm.RoleSlave, Doing: long, Model: long, PausedWhy: long, Pulse: farm.Pulse{Unfit: long}}
	}
	list, more := slaves(rows)
	s := fitted(bus.Snapshot{Slaves: list, Left: more})
	data, err := json.Marshal(s)
	if err != nil || len(data) > bus.MaxMessage {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if len(s.Slaves) < 100 || int(s.Left)+len(s.Slaves) != len(rows) {
		t.Errorf("%d slaves and %d left out, of %d", len(s.Slaves), s.Left, len(rows))
	}
	if strings.Contains(string(data), `\u001b`) {
		t.Error("control characters are passed on")
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	if got := short(strings.Repeat("ä", 100)); len(got) > longestText || !strings.HasPrefix(got, "ää") {
		t.Errorf("%q", got)
	}
}
