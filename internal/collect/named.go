package collect

import (
	"fmt"
	"sync"
)

// maxNamed is how many files one lease may name: a build has a wheel and a log. The rest
// is for a slave that lost one and built again under the same lease.
const maxNamed = 8

// maxLeases is how many leases are remembered: more than a farm has slaves. Whoever is
// forgotten may name as many files again.
const maxLeases = 10_000

// named remembers which files leases have named that the depot did not have. A lease may
// be reported as often as its slave likes; if each report could bring other files, one
// lease would do to fill the depot.
type named struct {
	mu    sync.Mutex
	files map[string]map[string]bool // SHA-256, by token
}

// take notes that a lease names a file, and refuses one too many.
func (n *named) take(token, sha256 string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.files == nil || len(n.files) >= maxLeases {
		n.files = map[string]map[string]bool{}
	}
	files := n.files[token]
	if files == nil {
		files = map[string]bool{}
		n.files[token] = files
	}
	if !files[sha256] && len(files) >= maxNamed {
		return fmt.Errorf("this lease has named %d files, and now another one; a build has a wheel and a log", maxNamed)
	}
	files[sha256] = true
	return nil
}

// forget ends a lease.
func (n *named) forget(token string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.files, token)
}
