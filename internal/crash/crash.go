// Package crash names the points between two steps of the flow, and ends the
// process at one of them when a test wants it.
//
// Input: the variable PINWHEEL_CRASH_AT of the environment, read once. Output:
// at the point that it names the process kills itself with SIGKILL, so that no
// deferred call, no signal handler and no flush makes the end milder than a
// power cut would. Without the variable, which is always but in tests, a point
// costs one atomic load.
//
// It owns the closed list of points (points.go). That each is passed, and that
// what a crash there leaves is mended by whoever comes next, is held by
// internal/crashtest; docs/states.md has the list as people read it. It never
// returns an error and never logs: there is nobody left to read it.
package crash

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Variable of the environment names the point at which the process ends: its
// name, or NAME:N for the N-th time that it is passed.
const Variable = "PINWHEEL_CRASH_AT"

// Point is a place in the code between two effects that a crash can part.
type Point string

// armed is a package variable because it is the process that ends, and because
// a point must cost nothing and be passed where nothing is handed down.
var armed = sync.OnceValue(func() *plan {
	p, err := parsePlan(os.Getenv(Variable))
	if err != nil {
		// A test that waits for a crash which never comes would not say why.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return p
})

// At ends the process if it was started to end here.
func At(p Point) {
	if plan := armed(); plan != nil && plan.due(p) {
		kill(p)
	}
}

// plan is where a process is to end.
type plan struct {
	at   Point
	left atomic.Int64 // passings until then
}

func (p *plan) due(at Point) bool { return p.at == at && p.left.Add(-1) == 0 }

// parsePlan reads the variable; nil without an error means: nowhere.
func parsePlan(text string) (*plan, error) {
	if text == "" {
		return nil, nil
	}
	name, count, counted := strings.Cut(text, ":")
	n := int64(1)
	if counted {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("%s=%q: want NAME or NAME:N, N from 1", Variable, text)
		}
	}
	if !slices.Contains(All(), Point(name)) {
		return nil, fmt.Errorf("%s=%q: no such point; docs/states.md lists them", Variable, text)
	}
	p := &plan{at: Point(name)}
	p.left.Store(n)
	return p, nil
}

func kill(p Point) {
	fmt.Fprintf(os.Stderr, "crash: killed at %s\n", p)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // not one step further, however late the signal comes
}
