package wheel

import "time"

// oneStep is longer than anything takes between two looks at the clock. What seems to have
// taken longer was a machine that stood still: no fault of the wheel.
const oneStep = time.Second

// timer counts what a verification takes of time, without what others keep it waiting for.
type timer struct {
	now         func() time.Time
	last        time.Time
	left, whole time.Duration
}

func newTimer(l Limits) *timer {
	t := &timer{now: l.Now, left: l.Time, whole: l.Time}
	if t.now == nil {
		t.now = time.Now
	}
	t.last = t.now()
	return t
}

// spend takes off what has passed.
func (t *timer) spend() error {
	if t == nil {
		return nil
	}
	now := t.now()
	t.left -= min(now.Sub(t.last), oneStep)
	t.last = now
	if t.left < 0 {
		return newSpent(CodeCostTime, "it takes more than %v to verify", t.whole)
	}
	return nil
}

// pause leaves out what has passed.
func (t *timer) pause() {
	if t != nil {
		t.last = t.now()
	}
}
