package racktest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// releases are programs, each in a folder that is waited for.
type releases struct{ first, old, next, newest func() string }

// build makes programs in a folder of the operator's, aside, after those that were wanted
// before; wait returns the folder.
func (r *rack) build(folder, version string, more []string, programs ...string) (wait func() string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, folder)
	r.mkdir(dir, 0o755)
	var said bytes.Buffer
	done, before := make(chan struct{}), r.building
	r.building = done
	var err error
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		for _, p := range programs {
			// They are wanted later: what is tried meanwhile goes first.
			argv := append([]string{"-n", "5", "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X pinwheel/internal/cli.version=" + version,
				"-o", filepath.Join(dir, "pinwheel-"+p)}, more...)
			cmd := exec.CommandContext(r.t.Context(), "nice", append(argv, "pinwheel/cmd/"+p)...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			cmd.Stdout, cmd.Stderr = &said, &said
			if err == nil {
				err = cmd.Run()
			}
		}
	}()
	r.t.Cleanup(func() { <-done })
	return func() string {
		r.t.Helper()
		if <-done; err != nil {
			r.t.Fatalf("go build: %v\n%s", err, said.String())
		}
		return dir
	}
}

// otherProtocol are the flags of a build whose program speaks protocol 0.
func (r *rack) otherProtocol() []string {
	r.t.Helper()
	source, err := filepath.Abs("../bus/message.go")
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		r.t.Fatal(err)
	}
	old := strings.Replace(string(text), "const Protocol = ", "const Protocol = -1 + ", 1)
	if old == string(text) {
		r.t.Fatalf("%s has no constant Protocol", source)
	}
	replaced, overlay := filepath.Join(r.dir, "old.go"), filepath.Join(r.dir, "overlay.json")
	r.write(replaced, old, 0o644)
	list, err := json.Marshal(map[string]map[string]string{"Replace": {source: replaced}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(overlay, string(list), 0o644)
	return []string{"-overlay", overlay}
}
