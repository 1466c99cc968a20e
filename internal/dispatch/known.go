package dispatch

import (
	"sync"
	"time"

	"pinwheel/internal/store"
)

// knownLife is how long what was read of a slave is believed, for claims.
const knownLife = 5 * time.Second

// known remembers, of slaves that get one job after the other, who they are and
// which targets there are: a slave that builds asks for nothing else, and reading
// both again costs as much as the claim. It is a guess: the claim itself looks
// whether the slave may have a job and the target is active, and who gets nothing by
// what is known is looked up anew.
type known struct {
	mu     sync.Mutex
	slaves map[string]acquaintance
}

// acquaintance is what a claim takes of a slave's and the targets' rows.
type acquaintance struct {
	slave   store.SlaveRow
	targets []store.TargetRow
	until   time.Time
}

func (k *known) get(name string) (acquaintance, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.slaves[name]
	return a, ok && time.Now().Before(a.until)
}

// keep says that a slave has got a job by these rows.
func (k *known) keep(name string, a acquaintance) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.slaves == nil {
		k.slaves = map[string]acquaintance{}
	}
	a.until = time.Now().Add(knownLife)
	k.slaves[name] = a
}

// forget says that a slave is to be looked up: it got nothing, or said hello.
func (k *known) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.slaves, name)
}
