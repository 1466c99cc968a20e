package embedpg

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"pinwheel/internal/proc"
)

// start goes from a locked folder to a server that takes connections.
func (s *Server) start(ctx context.Context) error {
	began := time.Now()
	bin, err := s.settle(ctx)
	if err != nil {
		return err
	}
	if err := s.launch(bin); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	s.cfg.Log.Info().Int("version", bin.major).Str("dir", s.cfg.Dir).
		Dur("took", time.Since(began)).Msg("Postgres is ready")
	return nil
}

// settle clears what an earlier life left, and leaves data and a server for
// them.
func (s *Server) settle(ctx context.Context) (binaries, error) {
	have, err := s.cluster.version()
	if err != nil {
		return binaries{}, err
	}
	if have != 0 {
		if err := s.cluster.checkOwner(); err != nil {
			return binaries{}, err
		}
		if err := awaitOrphans(ctx, s.cluster.data(), orphanPatience); err != nil {
			return binaries{}, err
		}
	}
	if err := forget(s.cfg.Dir); err != nil {
		// Some litter in a temporary folder is no reason not to start.
		s.cfg.Log.Warn().Err(err).Msg("a socket folder of an earlier run is left")
	}
	bin, err := s.choose(ctx, have)
	if err != nil || have != 0 {
		return bin, err
	}
	return bin, s.cluster.create(ctx, bin, isDurable(s.cfg.Settings))
}

// choose finds a server for the data, or the newest if there are none (have is
// 0): an installed one is patched by the machine's owner, so it goes first.
func (s *Server) choose(ctx context.Context, have int) (binaries, error) {
	bin, passed, ok := newSearch(s.cluster.user).find(ctx, have)
	if ok || ctx.Err() != nil {
		return bin, ctx.Err()
	}
	if passed != "" {
		passed = " (passed over: " + passed + ")"
	}
	bin, ok, err := cache{s.cfg.CacheDir, s.cfg.Fetch}.find(ctx, s.cluster.user, have)
	switch {
	case err != nil || ok:
		return bin, err
	case have == 0:
		return bin, fmt.Errorf("find a server: no Postgres %d or newer is installed%s; install postgresql", oldest, passed)
	}
	return bin, fmt.Errorf("open %s: the data are of Postgres %d, and no such server is here%s; install postgresql-%d, or move the data with pg_upgrade",
		s.cluster.data(), have, passed, have)
}

// launch starts the server's process.
func (s *Server) launch(bin binaries) error {
	var err error
	if s.Address, s.socket, err = newAddress(s.cluster.user); err != nil {
		return err
	}
	// Noted before the socket exists, so that a crash leaves nothing unknown.
	if err := s.publish(s.cfg.Dir); err != nil {
		return errors.Join(err, s.Address.remove())
	}
	if s.log, err = openLog(s.cfg.Dir); err != nil {
		return err
	}
	args := arguments(s.cluster.data(), s.Address, s.cfg.Settings)
	cmd := command(context.Background(), s.cluster.user, bin.postgres(), args...)
	cmd.Stdout, cmd.Stderr = s.log.file, s.log.file
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// When we die: immediate shutdown. SIGKILL would leave the server's own
	// children and its shared memory behind for a while.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	s.child, err = proc.Start(cmd)
	return err
}

// awaitReady waits for the server's word, in its pid file, that it takes
// connections. It is asked often: the file is in memory, and all wait for it.
func (s *Server) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		state, _ := readPidFile(s.cluster.data())
		if state.ready && state.pid == s.child.Pid() {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.child.Done():
			return fmt.Errorf("it ended at once: %s", s.log.complaint())
		case <-ctx.Done():
			return fmt.Errorf("wait until it is ready: %w", ctx.Err())
		}
	}
}
