package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/bus"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
)

const reportName = "report.json"

// namesFolder says whether a lease's token can name a folder: 1 to 128 letters, digits, _
// and -.
func namesFolder(token string) bool {
	return token != "" && len(token) <= 128 && !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

// errSpoiled means that a spooled file is not what its report says.
var errSpoiled = errors.New("the spooled file is damaged")

// spool holds finished builds until the master has accepted them: a folder for
// each, named after its lease's token.
type spool struct{ dir string }

func (s *spool) folder(token string) string { return filepath.Join(s.dir, token) }

// path is where a file of a result lies; names come from our own report.json,
// but a damaged one must not lead elsewhere.
func (s *spool) path(token string, f farm.File) string {
	return filepath.Join(s.folder(token), filepath.Base(f.Name))
}

// put makes a result durable and returns its full report. The steps are in an
// order in which a crash between any two leaves either no report.json, and so
// nothing but rubbish, or a whole result.
func (s *spool) put(d done) (bus.Report, error) {
	r := d.report
	if err := s.begin(r.Token); err != nil {
		return r, err
	}
	for _, path := range d.wheels {
		f, err := s.take(r.Token, path, filepath.Base(path))
		if err != nil {
			return r, s.undo(r.Token, err)
		}
		r.Wheels = append(r.Wheels, f)
	}
	if d.log != "" {
		f, err := s.takeLog(r.Token, d.log)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, s.undo(r.Token, err)
		}
		r.Log = f
	}
	crash.At(crash.AgentSpooling)
	if err := s.commit(r); err != nil {
		return r, s.undo(r.Token, err)
	}
	return r, nil
}

// begin makes an empty folder. Its name is flushed now, because the commit
// flushes only what lies inside.
func (s *spool) begin(token string) error {
	if err := os.RemoveAll(s.folder(token)); err != nil {
		return err
	}
	if err := os.Mkdir(s.folder(token), 0o700); err != nil {
		return err
	}
	return atomicfile.SyncDir(s.dir)
}

// commit is the moment from which the result counts.
func (s *spool) commit(r bus.Report) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("spool report of job %d: %w", r.Job, err)
	}
	return atomicfile.WriteFile(filepath.Join(s.folder(r.Token), reportName), data, 0o600)
}

// undo keeps the disk free of what will never be reported; if even that fails,
// the next start does it.
func (s *spool) undo(token string, err error) error {
	return errors.Join(err, s.remove(token))
}

// read returns a result's report.
func (s *spool) read(token string) (bus.Report, error) {
	data, err := os.ReadFile(filepath.Join(s.folder(token), reportName))
	if err != nil {
		return bus.Report{}, fmt.Errorf("spooled result: %w", err)
	}
	r, err := parseReport(data, token)
	if err != nil {
		return bus.Report{}, fmt.Errorf("spooled result %s: %w", token, err)
	}
	return r, nil
}

// parseReport holds a report to its folder's name: a folder that was copied by
// hand must not be reported twice.
func parseReport(data []byte, token string) (bus.Report, error) {
	var r bus.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return bus.Report{}, fmt.Errorf("read %s: %w", reportName, err)
	}
	if r.Token != token {
		return bus.Report{}, fmt.Errorf("%s is of the lease %.40q", reportName, r.Token)
	}
	return r, nil
}

// smallLog is the log of a result if it may travel in the report. One that cannot be
// read is asked for, and missed then.
func (s *spool) smallLog(r bus.Report) []byte {
	if r.Log.Size < 1 || r.Log.Size > bus.MaxLogInside {
		return nil
	}
	f, err := os.Open(s.path(r.Token, r.Log))
	if err != nil {
		return nil
	}
	defer f.Close()
	data := make([]byte, r.Log.Size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil
	}
	return data
}

// verify says whether a file still is what its report promises.
func (s *spool) verify(token string, want farm.File) error {
	f, err := os.Open(s.path(token, want))
	if err != nil {
		return fmt.Errorf("%w: %w", errSpoiled, err)
	}
	defer f.Close()
	sum, size, err := hash(f)
	if err != nil {
		return fmt.Errorf("%w: %w", errSpoiled, err)
	}
	if sum != want.SHA256 || size != want.Size {
		return fmt.Errorf("%w: %s has %d bytes and SHA-256 %s, was written with %d and %s",
			errSpoiled, want.Name, size, sum, want.Size, want.SHA256)
	}
	return nil
}

// remove forgets a result. report.json goes first: a crash in between leaves
// rubbish, not a report whose files are gone.
func (s *spool) remove(token string) error {
	err := os.Remove(filepath.Join(s.folder(token), reportName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove spooled result: %w", err)
	}
	crash.At(crash.AgentForgetting)
	return os.RemoveAll(s.folder(token))
}
