package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/tree"
)

// paths are the folders of an agent, below its state folder.
type paths struct{ build, cache, spool, broken string }

func pathsIn(dir string) paths {
	return paths{
		build:  filepath.Join(dir, "build"),
		cache:  filepath.Join(dir, "cache"),
		spool:  filepath.Join(dir, "spool"),
		broken: filepath.Join(dir, "broken"),
	}
}

// recover brings the state folder to where a start can go on from, whatever an
// earlier process was doing when it ended. It must hold the lock.
func (a *Agent) recover() error {
	left, err := os.ReadDir(a.paths.build)
	if err != nil {
		return fmt.Errorf("read state folder: %w", err)
	}
	for _, e := range left {
		a.discard(filepath.Join(a.paths.build, e.Name()))
	}
	tokens, err := a.spool.recover(a.paths.broken, a.log)
	if err != nil {
		return err
	}
	if len(tokens) > 0 {
		a.log.Info().Int("results", len(tokens)).Msg("results of an earlier run are still to be reported")
	}
	a.board.change(func(f *facts) { f.finished = tokens })
	return nil
}

// recover returns the tokens of whole results, oldest first. What was not
// committed is removed; what cannot be read is set aside.
func (s *spool) recover(broken string, log zerolog.Logger) ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	ended := map[string]time.Time{}
	for _, e := range entries {
		r, err := s.read(e.Name())
		switch {
		case err == nil:
			ended[e.Name()] = r.Record.Ended
		case errors.Is(err, fs.ErrNotExist):
			if err := os.RemoveAll(s.folder(e.Name())); err != nil {
				return nil, fmt.Errorf("remove unfinished result: %w", err)
			}
		default:
			log.Error().Err(err).Str("moved_to", broken).Msg("a spooled result cannot be read")
			if err := s.setAside(e.Name(), broken); err != nil {
				return nil, err
			}
		}
	}
	return oldestFirst(ended), nil
}

// setAside keeps the damaged for a person to look at, out of the way.
func (s *spool) setAside(name, broken string) error {
	if err := os.MkdirAll(broken, 0o700); err != nil {
		return fmt.Errorf("set damaged result aside: %w", err)
	}
	to, err := os.MkdirTemp(broken, time.Now().UTC().Format("20060102-150405-"))
	if err != nil {
		return fmt.Errorf("set damaged result aside: %w", err)
	}
	if err := os.Rename(s.folder(name), filepath.Join(to, name)); err != nil {
		return fmt.Errorf("set damaged result aside: %w", err)
	}
	return nil
}

func oldestFirst(ended map[string]time.Time) []string {
	var tokens []string
	for t := range ended {
		tokens = append(tokens, t)
	}
	slices.SortFunc(tokens, func(a, b string) int {
		return cmp.Or(ended[a].Compare(ended[b]), cmp.Compare(a, b))
	})
	return tokens
}

// discard removes a build's folder. What cannot be removed now only costs space;
// the next start tries again.
func (a *Agent) discard(dir string) {
	if dir == "" {
		return
	}
	if err := tree.Remove(dir); err != nil {
		a.log.Warn().Err(err).Msg("leftovers of a build not removed")
	}
}
