// Package leaktest looks after a package's tests whether they have left goroutines
// behind, as goleak does, and gives those that are about to end the time of a busy
// machine.
//
// Input: the tests of a package. Output: their exit status, which is bad if a goroutine
// lives on; goleak says which.
package leaktest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// within is how long a goroutine may take to be gone; only one that stays takes it.
const within = 30 * time.Second

// Main runs the tests of a package and exits.
func Main(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient runs tests, and comes back when their goroutines have ended. Goleak itself
// waits for less than half a second, which is not enough for a server's connections on a
// machine that has other work.
type patient struct{ m *testing.M }

// Run is what goleak runs before it looks.
func (p patient) Run() int {
	code := p.m.Run()
	for late := time.Now().Add(within); code == 0 && goleak.Find() != nil && time.Now().Before(late); {
	}
	return code
}
