package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/cli"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// fullLogs searches the whole logs, which it reads from the depot, a window of one
// at a time.
type fullLogs struct {
	dir    string
	files  *depot.Local
	search *buildlog.Search

	read, without, damaged int64 // logs; builds that left none; logs that cannot be read to their end
}

func openLogs(depotDir, pattern string) (*fullLogs, error) {
	files, err := depot.Look(depotDir)
	if err != nil {
		return nil, fmt.Errorf("%w; name the master's with --depot-dir", err)
	}
	re, err := farm.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	return &fullLogs{dir: depotDir, files: files, search: buildlog.NewSearch(re)}, nil
}

// match is a matcher. A log that is not there, or not to be read to its end, matches
// nothing, and is counted.
func (l *fullLogs) match(ctx context.Context, b store.FailedBuild) (bool, error) {
	if b.LogSHA256 == "" {
		l.without++
		return false, nil
	}
	f, err := l.files.Open(b.LogSHA256)
	if errors.Is(err, farm.ErrNotFound) {
		l.without++
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	l.read++
	found, err := l.search.In(ctx, f)
	if errors.Is(err, buildlog.ErrDamaged) || errors.Is(err, buildlog.ErrTooLong) {
		l.damaged++
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("search the log of build %d: %w", b.Build, err)
	}
	return found, nil
}

// tell says what could not be searched. Nothing at all: the depot is another's.
func (l *fullLogs) tell(out io.Writer) error {
	if l.read == 0 && l.without > 0 {
		return fmt.Errorf("none of the logs is in the depot %s; name the master's with --depot-dir", l.dir)
	}
	if l.without > 0 {
		cli.Say(out, "%s left no log that is still there", counted(l.without, "job", "jobs"))
	}
	if l.damaged > 0 {
		cli.Say(out, "%s damaged, and searched up to there", counted(l.damaged, "log is", "logs are"))
	}
	return nil
}
