package dispatch

import (
	"sync"
	"time"
)

// served remembers when each slave got a job last. Of those who are woken together, the
// first is served who got one longest ago, however often it asked since.
type served struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (s *served) since(slave string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[slave]
}

func (s *served) now(slave string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[slave] = time.Now()
}
