package armtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pinwheel/internal/proc"
)

// pi is the inside of the root as somebody has it who logs in to a Pi: an ordinary
// user with a home, and the farm as extra index in /etc/pip.conf. It is bubblewrap
// from outside; the network is this machine's.
type pi struct {
	*rig
	user proc.User
	home string // outside; inside it is /home/pi
	view []string
}

// newPi makes a home. The upstream stands where Raspbian has nothing, since there it
// is pip's default.
func (r *rig) newPi() *pi {
	r.t.Helper()
	p := &pi{rig: r, user: proc.BuildUser(), home: r.path("pi")}
	r.must(os.Mkdir(p.home, 0o700))
	r.must(p.user.Chown(p.home))
	conf := r.write("pip.conf", fmt.Sprintf("[global]\nindex-url = %s\nextra-index-url = %s/simple/\n", r.index.URL(), r.url))
	r.must(os.Chmod(conf, 0o644))
	p.view = []string{"--unshare-all", "--share-net", "--die-with-parent", "--new-session", "--clearenv",
		"--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/home/pi", "--setenv", "LANG", "C.UTF-8",
		"--ro-bind", filepath.Join(r.root, "usr"), "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"}
	// One by one: nothing can be added to a folder that is shown as it is.
	etc, err := os.ReadDir(filepath.Join(r.root, "etc"))
	r.must(err)
	for _, e := range etc {
		if e.Type().IsRegular() || e.IsDir() {
			p.view = append(p.view, "--ro-bind", filepath.Join(r.root, "etc", e.Name()), "/etc/"+e.Name())
		}
	}
	p.view = append(p.view, "--ro-bind", conf, "/etc/pip.conf", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
		"--bind", p.home, "/home/pi", "--chdir", "/home/pi")
	return p
}

// run runs a program inside, with variables as NAME=VALUE.
func (p *pi) run(env []string, argv ...string) (stdout, stderr string, err error) {
	p.t.Helper()
	args := p.view
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		args = append(args[:len(args):len(args)], "--setenv", name, value)
	}
	bwrap, err := exec.LookPath("bwrap")
	p.must(err)
	cmd := exec.Command(bwrap, append(append(args, "--"), argv...)...)
	cmd.Dir = "/"
	p.user.Apply(cmd)
	return run(p.t, cmd)
}

// taken is what pip took, from where.
type taken struct{ url, sha256 string }

// install lets pip install as its user types it, and returns what was said, and what
// it took for each project.
func (p *pi) install(env []string, args ...string) (said string, got map[string]taken, err error) {
	p.t.Helper()
	report := filepath.Join(p.home, "report.json")
	_ = os.Remove(report) // of the one before, if there was one
	argv := append([]string{"python3", "-m", "pip", "install", "-v", "--user", "--break-system-packages",
		"--disable-pip-version-check", "--report", "/home/pi/report.json"}, args...)
	out, errs, err := p.run(env, argv...)
	if err != nil {
		return out + errs, nil, err
	}
	var told struct {
		Install []struct {
			Metadata     struct{ Name string }
			DownloadInfo struct {
				URL         string
				ArchiveInfo struct{ Hashes map[string]string } `json:"archive_info"`
			} `json:"download_info"`
		}
	}
	text, err := os.ReadFile(report)
	p.must(err)
	p.must(json.Unmarshal(text, &told))
	got = map[string]taken{}
	for _, i := range told.Install {
		file, err := url.PathUnescape(i.DownloadInfo.URL)
		p.must(err)
		got[i.Metadata.Name] = taken{file, i.DownloadInfo.ArchiveInfo.Hashes["sha256"]}
	}
	return out + errs, got, nil
}
