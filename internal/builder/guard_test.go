package builder

import (
	"bufio"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"pinwheel/internal/proc"
)

// TestGuard: what is guarded ends with whoever started it, also what asked for nothing, and
// not with its guard.
func TestGuard(t *testing.T) {
	t.Parallel()
	for what, killed := range map[string]bool{"its program is killed": true, "it ends by itself": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			// A member of the group that outlives the leader, as bwrap's child may. Killed, it
			// lets go of its output.
			cmd := exec.Command("/bin/sh", "-c", "sleep 1000 & echo begun; wait")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			c, err := proc.Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Kill)
			lines := bufio.NewReader(out)
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			g, err := newGuard(proc.User{})
			if err != nil {
				t.Fatal(err)
			}
			if killed {
				fmt.Fprintln(g.word, c.Pid())
				g.word.Close() // as the kernel does when we are killed
				<-waitOr(t, c.Done())
				_ = g.cmd.Wait()
				return
			}
			ended := make(chan struct{})
			go func() { defer close(ended); g.over(c) }()
			c.Kill()
			<-waitOr(t, ended)
		})
	}
}

func waitOr(t *testing.T, done <-chan struct{}) <-chan struct{} {
	t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it lives on")
	}
	return done
}
