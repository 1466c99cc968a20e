package proxy

import (
	"encoding/pem"
	"net/http/cgi"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// TestGit: submodules and sources from a git server come by CONNECT, as git asks for by
// itself, verified against the server's own certificate; where builds may go nowhere, git
// says so and does not wait.
func TestGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(env []string, args ...string) (string, error) {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}, env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"init", "-q", "there"}, {"-C", "there", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one"}} {
		if out, err := git(nil, args...); err != nil {
			t.Fatal(out, err)
		}
	}
	path, err := git(nil, "--exec-path")
	must(t, err)
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(path), "git-http-backend"), Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}}
	s := newServer(t, backend.ServeHTTP, true)
	ca := filepath.Join(dir, "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	p := newProxy(t, Config{Resolver: names{"example.com": "127.0.0.1"}, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	for _, network := range []string{farm.NetworkPublic, farm.NetworkIndex} {
		b := newBuild(t, p, network)
		out, err := git([]string{"GIT_SSL_CAINFO=" + ca, "https_proxy=http://" + b.addr}, "clone", "-q", "https://example.com:"+s.port()+"/there/.git", network)
		allowed := network == farm.NetworkPublic
		if (err == nil) != allowed || !allowed && !strings.Contains(out, "403") {
			t.Errorf("%s: %s %v", network, out, err)
		}
		c := b.Close().Contacts
		if len(c) != 1 || c[0].Host != "example.com:"+s.port() || c[0].Refused == allowed {
			t.Errorf("%s: contacts %+v", network, c)
		}
	}
	if out, err := git(nil, "-C", farm.NetworkPublic, "log", "--format=%s"); err != nil || out != "one\n" {
		t.Errorf("cloned %q, %v", out, err)
	}
}
