package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// unserved tells what of the queue no live slave takes, and that status tells the same.
func (w *world) unserved() string {
	w.t.Helper()
	queues, err := w.Queue(w.t.Context(), "", 1)
	w.must(err)
	words := func(list []store.Unserved) string {
		var parts []string
		for _, u := range list {
			parts = append(parts, fmt.Sprintf("%d of %d slaves, %d GB: lacks %d GB %q", u.Jobs, u.Slaves, u.Memory>>30, u.Lack.Memory>>30, u.Lack.Packages))
		}
		return strings.Join(parts, "; ")
	}
	st, err := w.Status(w.t.Context())
	w.must(err)
	got := words(queues[0].Unserved)
	if in := words(st.Unserved); in != got {
		w.t.Errorf("queue says %s, status %s", got, in)
	}
	return got
}

// machine hears a slave, with what its machine has.
func (w *world) machine(name string, memory int64, packages ...string) {
	w.t.Helper()
	_, err := w.Heard(w.t.Context(), store.Word{Slave: w.slaves[name], Length: time.Minute, Machine: &farm.Machine{
		Memory: memory, Packages: packages, Targets: []farm.Served{{Target: target}}}})
	w.must(err)
}

// TestUnserved: what is queued and no live slave can do is counted, with what lacks.
func TestUnserved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.unserved(); got != "" {
		t.Errorf("of an empty queue: %s", got)
	}
	w.set("*-cffi", farm.Recipe{Packages: []string{"libffi-dev"}})
	w.set("my-cffi >=2", farm.Recipe{Packages: []string{"cmake"}, Memory: 2 << 30})
	for _, name := range []string{"my-cffi", "your-cffi", "other"} {
		w.add(name, "1.0", "2.0", "2.1")
	}
	for n, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, `9 of 0 slaves, 0 GB: lacks 0 GB []`},
		{func() { w.machine("a", 1<<30, "gcc", "libffi-dev") }, `2 of 1 slaves, 1 GB: lacks 2 GB ["cmake"]`},
		{func() { w.machine("b", 8<<30, "cmake") }, `2 of 2 slaves, 8 GB: lacks 0 GB ["libffi-dev"]`},
		{func() { w.machine("b", 8<<30, "cmake", "libffi-dev") }, ""},
		{func() { w.must(w.PauseSlave(t.Context(), "b", "", "test")) }, `2 of 1 slaves, 1 GB: lacks 2 GB ["cmake"]`},
		{func() { w.must(w.PauseSlave(t.Context(), "a", "", "test")) }, `9 of 0 slaves, 0 GB: lacks 0 GB []`},
		{func() { w.must(w.exec(`update jobs set state = 'failed', cause = 'unknown'`)) }, ""},
	} {
		if step.do(); w.unserved() != step.want {
			t.Errorf("step %d: %s, want %s", n, w.unserved(), step.want)
		}
	}
}
