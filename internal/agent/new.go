package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// New looks at the world before anything is promised: the credentials are a
// slave's, the state folder can be written and the build user can get into it,
// that user can run the Python, and the sandbox holds. Each error names the
// remedy.
func New(ctx context.Context, cfg Config) (*Agent, error) {
	id := cfg.Conn.Identity()
	if id.Role != farm.RoleSlave {
		return nil, fmt.Errorf("the credentials are those of %s %s: enroll this machine with the role slave", id.Role, id.Name)
	}
	if cfg.Version == "" {
		return nil, errors.New("start agent: the program's version is not set")
	}
	if err := CheckTargets(cfg.Targets, cfg.User); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var err error
	if cfg.StateDir, err = filepath.Abs(cfg.StateDir); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if cfg.Mode == builder.Bwrap {
		if err := builder.Probe(ctx, cfg.User); err != nil {
			return nil, err
		}
	}
	p := pathsIn(cfg.StateDir)
	if err := prepare(cfg, p); err != nil {
		return nil, err
	}
	return assemble(cfg, p, id), nil
}

func assemble(cfg Config, p paths, id bus.Identity) *Agent {
	a := &Agent{
		cfg:   cfg,
		wire:  cfg.Conn.Slave(id.Name),
		board: newBoard(),
		spool: &spool{dir: p.spool},
		log:   cfg.Log.With().Str("slave", id.Name).Logger(),
		paths: p,
		pace:  usualPace(),
		build: builder.Run,
		drain: make(chan struct{}),

		serves: serve(cfg.Targets),
	}
	a.http = newUploader(a.pace.stall, cfg.Certs)
	return a
}

// prepare makes the folders and writes a probe file. The state folder itself is
// opened only as far as entering goes.
func prepare(cfg Config, p paths) error {
	if err := os.MkdirAll(cfg.StateDir, 0o711); err != nil {
		return fmt.Errorf("make state folder: %w; choose another --state-dir", err)
	}
	probe, err := os.CreateTemp(cfg.StateDir, ".probe-")
	if err != nil {
		return fmt.Errorf("write in state folder: %w; choose another --state-dir", err)
	}
	defer os.Remove(probe.Name())
	if err := probe.Close(); err != nil {
		return fmt.Errorf("write in state folder: %w", err)
	}
	if err := makeOpen(p.build); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if err := os.MkdirAll(p.spool, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if err := cfg.User.CanEnter(p.build); err != nil {
		return fmt.Errorf("builds cannot work in state folder %s: %w; choose another --state-dir, for example below /var/lib", cfg.StateDir, err)
	}
	return nil
}
