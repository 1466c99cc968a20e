package builder

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"pinwheel/internal/farm"
)

// prover is run by the target's Python, inside.
//
//go:embed prove.py
var prover string

// Bounds of an import test.
const (
	proveTime  = time.Minute      // for all modules of a wheel
	proveGrace = 30 * time.Second // more, until it is stopped from outside
	proveLog   = 256 << 10        // bytes of its output that are kept
)

// prove imports what a wheel holds, in a fresh box of its own without a network, with
// the build's limits. It never fails: what cannot be tried is a finding like what
// cannot be imported. From x it takes what was learnt about the sandbox; the build's
// files go now.
func (b Build) prove(ctx context.Context, x *box, wheel string) *farm.Imports {
	started := time.Now()
	found, err := b.importAll(ctx, x, wheel)
	if err != nil {
		found.Findings = []farm.Finding{{Code: farm.ImportNotTried, Severity: farm.SeverityInfo, Message: oneLine(err.Error())}}
	}
	found.Seconds = time.Since(started).Seconds()
	found = found.Bound()
	return &found
}

func (b Build) importAll(ctx context.Context, x *box, wheel string) (found farm.Imports, err error) {
	fresh, err := openBox(b)
	if err != nil {
		return found, err
	}
	fresh.keepUserns = x.keepUserns
	inside := filepath.Join("tmp", filepath.Base(wheel))
	if err := fresh.bring(wheel, inside); err != nil {
		return found, fmt.Errorf("bring the wheel into the sandbox: %w", err)
	}
	log, err := newLog(b.Dir, proveLog)
	if err != nil {
		return found, err
	}
	defer log.close()
	limits := b.Limits
	budget := cmp.Or(b.proveTime, proveTime)
	limits.Timeout, limits.LogLimit = budget+proveGrace, proveLog
	argv := []string{fresh.python.Path, "-E", "-s", "-S", "-c", prover, filepath.Join(fresh.work(), inside),
		filepath.Join(fresh.work(), "site"), strconv.FormatFloat(budget.Seconds(), 'f', 0, 64)}
	if fresh.out, err = b.noWay(fresh); err != nil {
		return found, err
	}
	end, err := fresh.execute(ctx, limits, log, argv)
	if fresh.out != nil {
		_, _ = fresh.out.close() // that it never began, the run says itself
	}
	if err != nil {
		return found, err
	}
	said, err := log.end(proveLog)
	if err != nil {
		return found, err
	}
	return readProof(said, end)
}

// readProof reads the last line, which is the prover's unless a module went on
// writing where it should not.
func readProof(said []byte, end ending) (found farm.Imports, err error) {
	said = bytes.TrimSpace(said)
	last := said[bytes.LastIndexByte(said, '\n')+1:]
	if end.stop.Cause == "" && end.code == 0 && json.Unmarshal(last, &found) == nil {
		return found, nil
	}
	why := fmt.Sprintf("exit status %d", end.code)
	if end.stop.Cause != "" {
		why = "stopped: " + string(end.stop.Cause)
	}
	return farm.Imports{}, fmt.Errorf("the import test did not come to its end (%s): %s", why, last)
}

// bring copies a file of ours into the build's folder, for its user to read: a link
// would be to the very file that is reported.
func (x *box) bring(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	path := filepath.Join(x.dir, "work", to)
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), x.user.Chown(path))
}
