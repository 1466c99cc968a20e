package dispatch

import "sync"

// refusals remembers what slaves were told last, so that the log has it once: a
// slave that is refused asks again every few seconds, for as long as it lives.
type refusals struct {
	mu   sync.Mutex
	told map[refusal]string // at most three for each name that was ever enrolled
}

// refusal is what was refused to whom.
type refusal struct{ slave, kind string }

// again keeps what a slave is told and says whether it was told the same before.
func (r *refusals) again(what refusal, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[refusal]string{}
	}
	before, ok := r.told[what]
	r.told[what] = text
	return ok && before == text
}

// over says that the slave got what it asked for: a refusal after it is news.
func (r *refusals) over(what refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, what)
}
