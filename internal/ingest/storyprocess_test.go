package ingest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// followVariable makes this binary a follower: the database's URL, the address of
// the upstream's gate, and the URL of its simple index.
const followVariable = "PINWHEEL_STORY_FOLLOW"

// TestStoriesOfProcesses tells stories to followers that are processes of their
// own: what is cut off there is killed (SIGKILL), with all that it had in memory.
func TestStoriesOfProcesses(t *testing.T) {
	if words := strings.Fields(os.Getenv(followVariable)); len(words) == 3 {
		followUntilKilled(t, words[0], words[1], words[2])
		return
	}
	t.Parallel()
	count := fromEnvironment(t, "PINWHEEL_STORIES", usualStories)
	tellStories(t, count/20, func(th *theatre) { th.start = th.asProcess })
}

func (th *theatre) asProcess(databaseURL, httpAddr, simple string) (func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-test.run=^TestStoriesOfProcesses$")
	cmd.Env = append(os.Environ(), followVariable+"="+databaseURL+" "+httpAddr+" "+simple)
	child, err := proc.Start(cmd)
	if err != nil {
		return nil, err
	}
	return func() error {
		child.Kill()
		<-child.Done()
		var exit *exec.ExitError
		if err := child.Wait(); err != nil && !errors.As(err, &exit) {
			return err
		}
		return nil
	}, nil
}

func followUntilKilled(t *testing.T, databaseURL, httpAddr, simple string) {
	s, err := store.Open(context.Background(), databaseURL)
	if err != nil {
		return // cut off at its first words
	}
	defer s.Close()
	f, _ := storyFollower(s, httpAddr, simple, zerolog.Nop())
	t.Fatal(f.Run(context.Background()))
}
