package store_test

import (
	"strings"
	"testing"
)

// TestContradictionsAreFound breaks one thing each, past everything that keeps the
// rows in order.
func TestContradictionsAreFound(t *testing.T) {
	t.Parallel()
	for want, statement := range map[string]string{
		"and its release is of package":     `update jobs set package_id = package_id + 1`,
		"is for a target that there is not": `update jobs set target_id = 99`,
		"is queued, and waits for":          `update jobs set waits_target_id = target_id`,
		"waits for a target whose job has ended": `
update jobs set state = 'waiting', reason = 'x', waits_target_id = 99`,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.fresh("demo", "1.0"))
			w.agrees()
			w.must(w.exec(statement))
			list, err := w.Contradictions(t.Context())
			w.must(err)
			if !strings.Contains(strings.Join(list, "\n"), want) {
				t.Errorf("found %q", list)
			}
		})
	}
	// A program of before the column leaves it empty, which is no contradiction.
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"))
	w.must(w.exec(`update jobs set package_id = 0`))
	w.agrees()
	// Nothing is decided for a retired target, so what its jobs wait for may end.
	w.must(w.exec(`update jobs set state = 'waiting', reason = 'x', waits_target_id = 99; update targets set active = false`))
	w.agrees()
}
