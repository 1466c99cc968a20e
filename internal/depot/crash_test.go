package depot

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Where the child process stops, and waits to be killed.
const (
	crashHalf   = "half of the bytes are staged"
	crashStaged = "the file is staged and flushed"
	crashKept   = "the file has its name"
)

const (
	envDir   = "DEPOT_TEST_DIR"
	envPoint = "DEPOT_TEST_POINT"
)

func TestMain(m *testing.M) {
	if point := os.Getenv(envPoint); point != "" {
		crashChild(os.Getenv(envDir), point)
	}
	os.Exit(m.Run())
}

var crashData = bytes.Repeat([]byte("wheel "), 50_000)

// crashChild stores crashData up to a point, says so, and waits for its end.
func crashChild(dir, point string) {
	d, err := Open(dir)
	if err != nil {
		panic(err)
	}
	ctx, f := context.Background(), fileOf(crashData)
	switch point {
	case crashHalf:
		half := bytes.NewReader(crashData[:len(crashData)/2])
		d.Put(ctx, io.MultiReader(half, waitToDie{}), f)
	case crashStaged:
		if _, err := d.stage(ctx, bytes.NewReader(crashData), f); err != nil {
			panic(err)
		}
	case crashKept:
		if err := d.Put(ctx, bytes.NewReader(crashData), f); err != nil {
			panic(err)
		}
	}
	waitToDie{}.Read(nil)
}

type waitToDie struct{}

func (waitToDie) Read([]byte) (int, error) {
	fmt.Println("ready")
	// Ends by itself if the parent is gone before it could kill us.
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
	return 0, nil
}

func TestKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		point  string
		has    bool
		staged int
	}{{crashHalf, false, 1}, {crashStaged, false, 1}, {crashKept, true, 0}} {
		t.Run(c.point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			killAt(t, dir, c.point)
			d, f := open(t, dir), fileOf(crashData)
			has, err := d.Has(f.SHA256, f.Size)
			if err != nil || has != c.has {
				t.Errorf("after the crash Has says %v, %v; want %v", has, err, c.has)
			}
			if left := staged(t, d); len(left) != c.staged {
				t.Errorf("after the crash staging holds %q, want %d files", left, c.staged)
			}
			put(t, d, crashData)
			if err := os.RemoveAll(d.staging()); err != nil {
				t.Fatal(err)
			}
			check(t, open(t, dir), crashData)
		})
	}
}

// killAt runs a child up to the point and kills it there.
func killAt(t *testing.T, dir, point string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), envDir+"="+dir, envPoint+"="+point)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
}
