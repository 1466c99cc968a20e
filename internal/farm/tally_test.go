package farm

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTallyKeepsTheFrequent(t *testing.T) {
	t.Parallel()
	tally := NewTally(2)
	for i := range 1000 { // as many rare ones as frequent ones
		tally.Add("rare " + strconv.Itoa(i))
		tally.Add("often")
		if i%2 == 0 {
			tally.Add("half")
		}
	}
	if len(tally.count) > 16 {
		t.Errorf("%d texts are kept", len(tally.count))
	}
	top := tally.Top(5)
	if len(top) != 2 || top[0].Text != "often" || top[1].Text != "half" || top[0].Jobs > 1000 || top[0].Jobs < 800 {
		t.Errorf("the most frequent: %+v", top)
	}
	if tally.Total() != 2500 {
		t.Errorf("%d in all", tally.Total())
	}
	few := NewTally(10)
	for _, s := range []string{"b", "a", "c", "c"} {
		few.Add(s)
	}
	if diff := cmp.Diff([]Tallied{{"c", 2}, {"a", 1}, {"b", 1}}, few.Top(10)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
