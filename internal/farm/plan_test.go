package farm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// cellsOf reads a release on targets t1, t2 … in the order of their Python, one
// word each: its job, "-" if there is none, and after a plus what is special:
//
//	live      a slave serves the target
//	hand      an operator's word
//	no        requires-python is against it
//	held      the project is quarantined
//	skip      a maintainer's word
//	pure      built: a wheel for every platform, which all others' pip takes
//	odd       built: a wheel for every platform, which nobody else's pip takes
//	new       another sdist than the one that it failed of
//	gone      the target is retired
//	dup       covered by another target's wheel
func cellsOf(text string) []Cell {
	var cells []Cell
	for i, word := range strings.Fields(text) {
		job, special, _ := strings.Cut(word, "+")
		c := Cell{Target: int64(i + 1), Name: fmt.Sprintf("t%d", i+1), Rank: i, Verdict: Verdict{State: Queued, Priority: PriorityBacklog}}
		if state, waits, _ := strings.Cut(job, ">"); state != "-" {
			c.Job = Planned{State: State(state), Priority: PriorityBacklog}
			if waits != "" {
				fmt.Sscan(waits, &c.Job.Waits)
				c.Job.Why, c.Job.Reason = WhyLowerTarget, "t"+waits+" builds first"
			}
		}
		for s := range strings.SplitSeq(special, "+") {
			c.special(s)
		}
		cells = append(cells, c)
	}
	return cells
}

func (c *Cell) special(s string) {
	switch s {
	case "live":
		c.Live = true
	case "hand":
		c.Verdict.Priority = PriorityOperator
	case "no":
		c.Verdict = Verdict{Skipped, WhyPython, "requires-python: …", c.Verdict.Priority}
	case "held":
		c.Verdict = Verdict{Skipped, WhyQuarantined, "quarantined: …", c.Verdict.Priority}
	case "skip":
		c.Verdict = Verdict{Skipped, WhyByHand, "by hand: …", c.Verdict.Priority}
	case "pure":
		c.Serves = []int64{1, 2, 3, 4}
	case "odd":
		c.Serves = []int64{c.Target}
	case "new":
		c.NewSdist = true
	case "gone":
		c.Retired = true
	case "dup":
		c.Job.Why, c.Job.Reason = WhyLowerWheel, "the wheel x of t1 serves this target too"
	}
}

// words is the plan in the same form.
func words(plan []Planned) string {
	var out []string
	for _, p := range plan {
		word := string(p.State)
		if p.Waits != 0 {
			word += fmt.Sprint(">", p.Waits)
		}
		if word == "" {
			word = "-"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// TestPlan is what becomes of one release's jobs: as they are, and as they shall be.
func TestPlan(t *testing.T) {
	t.Parallel()
	cases := []struct{ what, given, want string }{
		{"no target", "", ""},
		{"one target", "-", "queued"},
		{"the lowest builds first", "- - -", "queued waiting>1 waiting>1"},
		{"of those with a slave", "- -+live -+live", "waiting>2 queued waiting>2"},
		{"the only one with a slave", "- - -+live", "waiting>3 waiting>3 queued"},
		{"of those that can build it", "-+no -+live -+live", "skipped queued waiting>2"},
		{"a slave where it cannot be built", "-+no+live - -", "skipped queued waiting>2"},
		{"none can", "-+no -+no", "skipped skipped"},
		{"a slave comes", "queued+live waiting>1 -+live", "queued waiting>1 waiting>1"},
		{"a slave comes below", "waiting>2+live queued+live waiting>2", "queued waiting>1 waiting>1"},
		{"the slave of the lowest goes", "queued waiting>1+live waiting>1", "waiting>2 queued waiting>2"},
		{"all were queued", "queued queued queued", "queued waiting>1 waiting>1"},
		{"the lowest cannot any more", "queued+no waiting>1 waiting>1", "skipped queued waiting>2"},
		{"the lowest can now", "skipped queued waiting>2", "queued waiting>1 waiting>1"},

		{"a slave has the lowest", "leased - -", "leased waiting>1 waiting>1"},
		{"a slave has a higher one", "queued+live leased+live waiting>1", "queued leased waiting>1"},
		{"a slave has what the policy is against now", "leased+no -", "leased queued"},
		{"a slave has what is held back", "leased+held waiting>1+held", "skipped skipped"},

		{"a pure wheel serves the higher", "built+pure waiting>1 -", "built covered covered"},
		{"a pure wheel, and lower ones", "waiting>2 built+pure waiting>2", "queued built covered"},
		{"a pure wheel, and a new target below", "-+live built+pure covered+dup", "queued built covered"},
		{"a pure wheel, and one that is queued", "built+pure queued", "built covered"},
		{"a pure wheel, and one that was leased", "built+pure leased", "built leased"},
		{"a pure wheel, and one that failed", "built+pure failed", "built failed"},
		{"a pure wheel that is only for its own Python", "built+odd -", "built queued"},
		{"a pure wheel for who may not have it", "built+pure waiting>1+no", "built skipped"},
		{"a pure wheel, and an operator asks for more", "built+pure -+hand", "built covered"},
		{"a pure wheel, and an operator requeued it", "built+pure queued+hand", "built queued"},
		{"a wheel for a platform", "built waiting>1 -", "built queued queued"},
		{"a failure", "failed waiting>1 waiting>1", "failed queued queued"},
		{"a failure that a maintainer skips", "failed+skip queued queued", "skipped queued waiting>2"},
		{"a failure of which a maintainer skips the rest", "failed waiting>1+skip queued", "failed skipped queued"},
		{"a build that a maintainer skips", "leased+skip waiting>1", "skipped queued"},
		{"what was built and is skipped now", "built+skip waiting>1+skip", "built skipped"},
		{"a failure in the middle", "waiting>2 failed+live waiting>2", "queued failed queued"},
		{"a failure, and its sdist is replaced", "failed+new failed+new queued", "queued waiting>1 waiting>1"},
		{"a failure, and its sdist is replaced by one that is not for it", "failed+new+no queued+new", "skipped queued"},
		{"a wheel, and its sdist is replaced", "built+new queued", "built queued"},
		{"covered by the name of a platform's wheel", "built covered+dup", "built covered"},
		{"covered by an older farm", "built covered", "built covered"},
		{"what covered it is gone", "queued covered+dup", "queued waiting>1"},
		{"covered, and held back", "built+pure+held covered+dup+held", "built skipped"},
		{"no more held back", "built+pure skipped", "built covered"},

		{"an operator's word does not wait", "- -+hand -", "queued queued waiting>1"},
		{"nor does it go back to waiting", "queued queued+hand", "queued queued"},
		{"nor can it do what cannot be", "- -+hand+no", "queued skipped"},
		{"what waited is asked for", "leased waiting>1+hand", "leased queued"},

		{"a retired target takes nothing", "queued+gone queued waiting>1", "queued queued waiting>2"},
		{"who waited for it waits for the next", "waiting>3+gone waiting>1 waiting>1", "waiting>3 queued waiting>2"},
		{"what was built there still covers", "built+gone covered+dup", "built covered"},
		{"nobody waits for what it covers", "built+gone covered+dup - queued", "built covered queued waiting>3"},
		{"a pure wheel that was built there serves who comes", "built+pure+gone covered+dup - queued leased", "built covered covered covered leased"},
		{"but none below", "- - built+pure+gone -", "queued waiting>1 built covered"},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, words(Plan(cellsOf(c.given)))); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", c.what, c.given, diff)
		}
	}
}

// TestPlanSaysWhy: what people and programs read beside the state.
func TestPlanSaysWhy(t *testing.T) {
	t.Parallel()
	cells := cellsOf("- - -+no")
	cells[0].Name, cells[1].Verdict.Priority = "cp39-linux_armv7l", PriorityNew
	want := []Planned{
		{State: Queued, Priority: PriorityBacklog},
		{Waiting, WhyLowerTarget, "cp39-linux_armv7l builds first", PriorityNew, 1},
		{Skipped, WhyPython, "requires-python: …", PriorityBacklog, 0},
	}
	if diff := cmp.Diff(want, Plan(cells)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	cells = cellsOf("built+pure waiting>1 covered+dup")
	cells[0].Name = "cp39-linux_armv7l"
	want = []Planned{
		cells[0].Job,
		{Covered, WhyLowerWheel, "lower wheel: the wheel of cp39-linux_armv7l serves this target too", PriorityBacklog, 0},
		{Covered, WhyLowerWheel, "the wheel x of t1 serves this target too", PriorityBacklog, 0}, // as collect said it
	}
	if diff := cmp.Diff(want, Plan(cells)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// facts draws what the upstream, maintainers and slaves may say of a cell.
func facts(t *rapid.T, c *Cell) {
	c.Live = rapid.Bool().Draw(t, "live")
	pr := rapid.SampledFrom([]Priority{PriorityOperator, PriorityNew, PriorityBacklog, PriorityYanked}).Draw(t, "priority")
	c.Verdict = rapid.SampledFrom([]Verdict{
		{Queued, "", "", pr}, {Queued, "", "", pr}, {Queued, "", "", pr},
		{Skipped, WhyPython, "python", pr}, {Skipped, WhyNoSdist, "sdist", pr}, {Skipped, WhyByHand, "hand", pr},
		{Skipped, WhyYanked, "yanked", pr}, {Covered, WhyUpstream, "upstream", pr},
	}).Draw(t, "verdict")
}

func drawnCells(t *rapid.T) []Cell {
	cells := make([]Cell, rapid.IntRange(1, 5).Draw(t, "targets"))
	for i := range cells {
		cells[i] = Cell{Target: int64(i + 1), Name: fmt.Sprint("t", i+1), Rank: rapid.IntRange(1, 3).Draw(t, "rank")}
		facts(t, &cells[i])
	}
	return cells
}

// put makes the plan the state of things.
func put(cells []Cell, plan []Planned) {
	for i, p := range plan {
		cells[i].Job = p
		// What failed of another sdist is forgotten with the row's facts.
		cells[i].NewSdist = false
	}
}

// TestPlanTwice: whatever the jobs are, what was planned once is not planned again,
// every move is legal, and nothing waits for what will not come.
func TestPlanTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cells := drawnCells(t)
		for i := range cells {
			c := &cells[i]
			c.Job.State = rapid.SampledFrom(append(States(), "")).Draw(t, "state")
			c.Job.Priority = c.Verdict.Priority
			c.Job.Why = rapid.SampledFrom([]Why{"", WhyLowerWheel, WhyUpstream, WhyPython}).Draw(t, "why")
			if c.Job.State == Waiting {
				c.Job.Waits = int64(rapid.IntRange(1, len(cells)).Draw(t, "waits"))
			}
			c.Retired = c.Job.State != "" && rapid.IntRange(0, 9).Draw(t, "retired") == 0
			c.NewSdist = rapid.IntRange(0, 9).Draw(t, "renewed") == 0
			if rapid.Bool().Draw(t, "pure") {
				c.Serves = []int64{1, 2, 3, 4, 5}
			}
		}
		plan := Plan(cells)
		for i, p := range plan {
			if was := cells[i].Job.State; was != "" && was != p.State && !CanMove(was, p.State) {
				t.Fatalf("%d moves from %s to %s", i, was, p.State)
			}
		}
		put(cells, plan)
		if diff := cmp.Diff(plan, Plan(cells)); diff != "" {
			t.Fatalf("planned again (-first +second)\n%s", diff)
		}
		for i, c := range cells {
			if c.Job.State != Waiting || c.Retired {
				continue
			}
			k := slices.IndexFunc(cells, func(d Cell) bool { return d.Target == c.Job.Waits })
			if s := cells[k].Job.State; s != Queued && s != Leased {
				t.Fatalf("%d waits for %d, which is %s", i, k, s)
			}
		}
	})
}

// TestPlanForgets: while nothing has ended, the way by which facts came to be as
// they are leaves no trace.
func TestPlanForgets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cells := drawnCells(t)
		for range rapid.IntRange(1, 6).Draw(t, "events") {
			put(cells, Plan(cells))
			facts(t, &cells[rapid.IntRange(0, len(cells)-1).Draw(t, "which")])
		}
		got := Plan(cells)
		for i := range cells {
			cells[i].Job = Planned{}
		}
		if diff := cmp.Diff(Plan(cells), got); diff != "" {
			t.Fatalf("(-at once +by and by)\n%s", diff)
		}
	})
}

// TestPlanKnowsNoOrder: the order in which the cells are given means nothing.
func TestPlanKnowsNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cells := drawnCells(t)
		plan := Plan(cells)
		order := rapid.Permutation(indexes(len(cells))).Draw(t, "order")
		shuffled := make([]Cell, len(cells))
		want := make([]Planned, len(cells))
		for i, k := range order {
			shuffled[i], want[i] = cells[k], plan[k]
		}
		if diff := cmp.Diff(want, Plan(shuffled)); diff != "" {
			t.Fatalf("(-given +shuffled)\n%s", diff)
		}
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// TestPlanLeavesWhatWasLearnt: what waits for a build requirement goes on waiting,
// and what took too long once stays the last, until somebody asks for it anew, or the
// sdist is another one.
func TestPlanLeavesWhatWasLearnt(t *testing.T) {
	t.Parallel()
	lacks := Planned{State: Waiting, Why: WhyRequirement, Reason: "not yet", Priority: PriorityBacklog}
	asked := lacks
	asked.Priority = PriorityOperator
	last := Planned{State: Queued, Priority: PriorityLast}
	build := Verdict{State: Queued, Priority: PriorityNew}
	operator := Verdict{State: Queued, Priority: PriorityOperator}
	for name, c := range map[string]struct {
		cell Cell
		want Planned
	}{
		"waits on":                    {Cell{Verdict: build, Job: lacks}, lacks},
		"waits on, though asked once": {Cell{Verdict: operator, Job: asked}, asked},
		"asked for":                   {Cell{Verdict: operator, Job: lacks}, Planned{State: Queued, Priority: PriorityOperator}},
		"a new sdist":                 {Cell{Verdict: build, Job: lacks, NewSdist: true}, Planned{State: Queued, Priority: PriorityNew}},
		"not to be built":             {Cell{Verdict: Verdict{State: Skipped, Why: WhyByHand, Reason: "r"}, Job: lacks}, Planned{State: Skipped, Why: WhyByHand, Reason: "r"}},
		"stays last":                  {Cell{Verdict: build, Job: last}, last},
		"last, and asked for":         {Cell{Verdict: operator, Job: last}, Planned{State: Queued, Priority: PriorityOperator}},
	} {
		c.cell.Target, c.cell.Live = 1, true
		if diff := cmp.Diff(c.want, Plan([]Cell{c.cell})[0]); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	// Who waits for its outcome goes on waiting, and a wheel that serves covers it.
	other := Cell{Target: 2, Rank: 2, Name: "t2", Verdict: build, Job: Planned{State: Waiting, Why: WhyLowerTarget, Waits: 1, Priority: PriorityNew}}
	if got := Plan([]Cell{{Target: 1, Rank: 1, Name: "t1", Live: true, Verdict: build, Job: lacks}, other})[1]; got.State != Waiting || got.Waits != 1 {
		t.Errorf("the one that waits for it: %+v", got)
	}
	lower := Cell{Target: 1, Rank: 1, Name: "t1", Verdict: build, Job: Planned{State: Built}, Serves: []int64{2}}
	if got := Plan([]Cell{lower, {Target: 2, Rank: 2, Name: "t2", Verdict: build, Job: lacks}})[1]; got.State != Covered {
		t.Errorf("a lower wheel serves: %+v", got)
	}
}
