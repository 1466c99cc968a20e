package pip

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"pinwheel/internal/proc"
)

// maxOutput bounds what is kept of a child's output: the last bytes.
const maxOutput = 1 << 20

// command is one run of a child whose output is wanted.
type command struct {
	argv  []string
	env   []string
	dir   string
	user  proc.User
	extra *os.File // the child's descriptor 3, if any
}

// output runs the command and returns what it wrote to standard output; the
// error holds the last lines of standard error.
func (c command) output(ctx context.Context) (string, error) {
	out, errs, err := c.run(ctx, false)
	if err != nil {
		return "", told(err, errs)
	}
	return out, nil
}

// combined runs the command and returns both its outputs in their order; the
// error holds the last lines.
func (c command) combined(ctx context.Context) (string, error) {
	out, _, err := c.run(ctx, true)
	if err != nil {
		return out, told(err, out)
	}
	return out, nil
}

// run lets the child write to files that have no name any more: unlike a pipe
// they keep nobody waiting when something holds them open for longer.
func (c command) run(ctx context.Context, merge bool) (stdout, stderr string, err error) {
	outFile, err := nameless()
	if err != nil {
		return "", "", err
	}
	defer outFile.Close()
	errFile := outFile
	if !merge {
		if errFile, err = nameless(); err != nil {
			return "", "", err
		}
		defer errFile.Close()
	}
	err = c.start(ctx, outFile, errFile)
	return tail(outFile), tail(errFile), err
}

func (c command) start(ctx context.Context, stdout, stderr *os.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, c.dir, stdout, stderr
	if c.extra != nil {
		cmd.ExtraFiles = []*os.File{c.extra}
	}
	c.user.Apply(cmd)
	child, err := proc.Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-child.Done():
		return child.Wait()
	case <-ctx.Done():
		child.Kill()
		<-child.Done()
		return ctx.Err()
	}
}

// nameless makes an open file that is gone when it is closed.
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "pinwheel-output-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for a child's output: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("make a file for a child's output: %w", err)
	}
	return f, nil
}

// tail reads the last bytes of a file; what cannot be read is not there.
func tail(f *os.File) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(size, maxOutput))
	n, _ := f.ReadAt(b, size-int64(len(b))) // short is fine
	return strings.ToValidUTF8(string(b[:n]), "\uFFFD")
}
