package builder

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
)

// The variables that make this test binary a program that builds one sdist of
// an index and is killed meanwhile.
const (
	victimDir  = "PINWHEEL_TEST_VICTIM_DIR"
	victimMode = "PINWHEEL_TEST_VICTIM_MODE"
	victimURL  = "PINWHEEL_TEST_VICTIM_URL"
)

func TestMain(m *testing.M) {
	Inside()
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

func victim(dir string) {
	py, err := findPython()
	if err == nil {
		_, err = Run(context.Background(), Build{Package: "hangs", Version: "1.0", IndexURL: os.Getenv(victimURL), Python: py,
			Mode: Mode(os.Getenv(victimMode)), User: proc.BuildUser(), Limits: farm.Limits{Timeout: 5 * time.Minute},
			Dir: dir, LogPath: dir + ".log", Live: os.Stdout})
	}
	fmt.Println("victim ended:", err)
}

// Kill -9 of the program that builds ends the build too, also what detached
// itself from it.
func TestKilledBuilderTakesItsBuildAlong(t *testing.T) {
	t.Parallel()
	url := index(t, map[string][]byte{"hangs": sdist(t, "hangs", daemon+"time.sleep(10**6)\n")})
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "hangs", url)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), victimDir+"="+b.Dir, victimMode+"="+string(mode), victimURL+"="+url)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			said := ""
			for lines := bufio.NewScanner(out); !strings.HasSuffix(said, " daemon") && lines.Scan(); {
				said = lines.Text()
			}
			held := map[*handle]string{}
			for pid, args := range inBox(t, b.Dir) {
				if h, err := hold(pid); err == nil && pid != cmd.Process.Pid {
					held[h] = args
				}
			}
			if len(held) < 3 {
				t.Errorf("the build was not under way: %q, %v", said, held)
			}
			must(t, cmd.Process.Kill())
			_ = cmd.Wait() // it was killed
			for h, args := range held {
				if err := h.gone(patience); err != nil {
					t.Errorf("%v: %q", err, args)
				}
				h.close()
			}
		})
	}
}
