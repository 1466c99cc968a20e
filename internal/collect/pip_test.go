package collect

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pinwheel/internal/publish"
	"pinwheel/internal/storetest"
	"pinwheel/internal/web"
)

// TestPipOfARMv6 lets the pip of this machine, told to be one of a Pi Zero, take copies
// from the pages, and find nothing where nothing is proven.
func TestPipOfARMv6(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	storetest.BringARM(t, w.Store, w.local, "a", "six", "v6.so")
	storetest.BringARM(t, w.Store, w.local, "a", "seven", "v7.so")
	w.Must(w.makeCopies(t.Context()))
	site := t.TempDir()
	p, err := publish.New(publish.Config{Store: w.Store, Depot: w.local, SiteDir: site, Log: zerolog.Nop()})
	w.Must(err)
	w.Must(p.WriteAll(t.Context()))
	srv := httptest.NewServer(web.New(web.Config{Store: w.Store, Depot: w.local, SiteDir: site, Log: zerolog.Nop(), Version: "test"}))
	t.Cleanup(srv.Close)

	const v6, v7 = "-1.0-cp311-cp311-linux_armv6l.whl", "-1.0-cp311-cp311-linux_armv7l.whl"
	for _, c := range []struct {
		name, project, host string   // host: _PYTHON_HOST_PLATFORM
		args                []string // of pip
		want                string   // the file; "": none is found
	}{
		{"an armv6l takes the copy", "six", "linux-armv6l", nil, "six" + v6},
		{"for armv6l the copy is taken", "six", "", []string{"--platform", "linux_armv6l"}, "six" + v6},
		{"an armv7l takes the wheel", "six", "linux-armv7l", nil, "six" + v7},
		{"an armv7l takes what is not proven", "seven", "linux-armv7l", nil, "seven" + v7},
		{"an armv6l finds nothing", "seven", "linux-armv6l", nil, ""},
		{"for armv6l nothing is found", "seven", "", []string{"--platform", "linux_armv6l"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := append([]string{"-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir", "download", "--no-deps",
				"--only-binary", ":all:", "--python-version", "3.11", "--index-url", srv.URL + "/simple/", "--dest", dir}, c.args...)
			cmd := exec.CommandContext(t.Context(), "python3", append(args, c.project)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
			if c.host != "" {
				cmd.Env = append(cmd.Env, "_PYTHON_HOST_PLATFORM="+c.host)
			}
			out, err := cmd.CombinedOutput()
			if c.want == "" {
				if err == nil || !strings.Contains(string(out), "No matching distribution found for "+c.project) {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got, err := os.ReadFile(filepath.Join(dir, c.want))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !bytes.HasPrefix(got, []byte("PK")) {
				t.Error("what came is no wheel")
			}
		})
	}
}
