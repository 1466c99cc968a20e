package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/bus"
)

// masterName is the file in the state folder with what the master told last.
const masterName = "master.json"

// Told is what a master told this slave at its last hello.
type Told struct {
	HTTP     string `json:"http"`     // base URL of uploads and site
	Upstream string `json:"upstream"` // the index that builds use; it may hold a password
}

// LastTold reads what the slave of this state folder was told last; zero if it never
// was, or if that cannot be read.
func LastTold(stateDir string) Told {
	var t Told
	b, err := os.ReadFile(filepath.Join(stateDir, masterName))
	if err != nil || json.Unmarshal(b, &t) != nil {
		return Told{}
	}
	return t
}

// remember keeps a master's word for who asks without one: the doctor.
func (a *Agent) remember(w bus.Welcome) error {
	t := Told{HTTP: w.HTTP, Upstream: w.Upstream}
	if t == LastTold(a.cfg.StateDir) {
		return nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keep the master's addresses: %w", err)
	}
	return atomicfile.WriteFile(filepath.Join(a.cfg.StateDir, masterName), b, 0o600)
}
