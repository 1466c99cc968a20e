package embedpg

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pinwheel/internal/proc"
)

// run runs one of Postgres's programs to its end and returns what it printed.
func run(ctx context.Context, u proc.User, stdin, program string, args ...string) (string, error) {
	cmd := command(ctx, u, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	child, err := proc.Start(cmd)
	if err != nil {
		return "", err
	}
	err = child.Wait()
	if ctx.Err() != nil {
		return "", fmt.Errorf("run %s: %w", filepath.Base(program), ctx.Err())
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", filepath.Base(program), err, complaint(out.String()))
	}
	return out.String(), nil
}

// command prepares a program with an environment of our making: PGDATA, PGPORT
// and their like are the caller's business, not this server's.
func command(ctx context.Context, u proc.User, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/" // our own folder may be closed to u
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=/"}
	u.Apply(cmd)
	return cmd
}

// complaint picks, as one line, what Postgres's programs say about a failure
// out of all that they print.
func complaint(log string) string {
	var all, loud []string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		// "2026-01-31 10:00:00.000 UTC [17] FATAL: …": the time is known.
		if _, rest, ok := strings.Cut(line, "] "); ok && strings.HasPrefix(line, "2") {
			line = rest
		}
		all = append(all, line)
		if isLoud(line) {
			loud = append(loud, line)
		}
	}
	if len(loud) == 0 {
		loud = all
	}
	return strings.Join(loud[max(0, len(loud)-4):], "; ")
}

func isLoud(line string) bool {
	for _, word := range []string{"FATAL:", "PANIC:", "ERROR:", "DETAIL:", "HINT:", "error:"} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}
