package embedpg

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	maxLog  = 8 << 20  // bytes from which on a start begins a new log
	maxTail = 16 << 10 // bytes of the log that are read for an error
)

// logFile is where the server's own messages go.
type logFile struct {
	file  *os.File
	start int64 // bytes that earlier runs wrote
}

// openLog opens postgres.log for appending; a big one becomes postgres.log.1
// first, in place of its predecessor.
func openLog(dir string) (logFile, error) {
	path := filepath.Join(dir, "postgres.log")
	info, err := os.Stat(path)
	if err == nil && info.Size() >= maxLog {
		err = os.Rename(path, path+".1")
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return logFile{}, fmt.Errorf("rotate %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return logFile{}, err
	}
	info, err = f.Stat()
	if err != nil {
		return logFile{}, errors.Join(err, f.Close())
	}
	return logFile{f, info.Size()}, nil
}

// complaint is what the server said about its end since this start, in one
// line, with the name of the file that says more.
func (l logFile) complaint() string {
	info, err := l.file.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(l.start, info.Size()-maxTail)
	text, err := io.ReadAll(io.NewSectionReader(l.file, from, maxTail))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s (see %s)", complaint(string(text)), l.file.Name())
}
