package pip

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// quiet takes away whatever this machine tells pip.
func quiet(t *testing.T) {
	t.Helper()
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "PIP_") || slices.Contains([]string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}, name) {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
}

func TestUpstreamIsWhatPipUses(t *testing.T) {
	py := machinePython(t)
	quiet(t)
	check := func(want string) {
		t.Helper()
		if got, err := Upstream(t.Context(), py); err != nil || got != want {
			t.Errorf("Upstream = %q, %v; want %q", got, err, want)
		}
	}
	fallback, err := Upstream(t.Context(), py)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(fallback); err != nil || u.Scheme != "https" || u.Host == "" {
		t.Errorf("pip's default index is told as %q", fallback)
	}
	file := filepath.Join(t.TempDir(), "pip.conf")
	if err := os.WriteFile(file, []byte("[global]\nindex-url = http://mirror.example/it's/simple\ncert = /some/ca.pem\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIP_CONFIG_FILE", file)
	check("http://mirror.example/it's/simple")
	if got, err := bundle(t.Context(), py); err != nil || got != "/some/ca.pem" {
		t.Errorf("bundle = %q, %v", got, err)
	}
	t.Setenv("PIP_INDEX_URL", "http://env.example/simple")
	check("http://env.example/simple")
}

func TestBundleFromTheEnvironment(t *testing.T) {
	py := machinePython(t)
	quiet(t)
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"} { // each before the last
		t.Setenv(name, "/certs/"+name)
		if got, err := bundle(t.Context(), py); err != nil || got != "/certs/"+name {
			t.Errorf("bundle = %q, %v; want that of %s", got, err, name)
		}
	}
}

func TestParseSettings(t *testing.T) {
	t.Parallel()
	got := parseSettings("global.index-url='http://a/simple'\n:env:.x=\"it's\"\nbroken\nglobal.y=plain\nglobal.z='a\\\\b\\'c'\n")
	want := settingList{"global.index-url": "http://a/simple", ":env:.x": "it's", "global.z": `a\b'c`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("global.index-url='http://a/simple'\n:env:.cert=\"x\"")
	f.Add("='\n='''\n.=\"\"")
	f.Fuzz(func(t *testing.T, out string) {
		for k, v := range parseSettings(out) {
			if strings.ContainsAny(k, "=\n") || strings.Contains(v, "\n") {
				t.Errorf("parseSettings(%q) has %q: %q", out, k, v)
			}
		}
	})
}

func TestDefaultIndexInHelp(t *testing.T) {
	t.Parallel()
	help := "  -i, --index-url <url>       Base URL of the Python Package Index (default\n   https://index.example/simple). This should"
	m := defaultIndex.FindStringSubmatch(strings.Join(strings.Fields(help), " "))
	if m == nil || m[1] != "https://index.example/simple" {
		t.Errorf("found %q", m)
	}
}

func TestCleanEnvHasNothingOfTheCaller(t *testing.T) {
	quiet(t)
	for _, name := range []string{"PIP_FIND_LINKS", "PIP_INDEX_URL", "PYTHONPATH", "LD_PRELOAD", "DISPLAY", "CC"} {
		t.Setenv(name, "callers")
	}
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HTTPS_PROXY", "http://proxy.example:1")
	t.Setenv("no_proxy", "intra.example")
	env := Python{Path: "/opt/py/bin/python3"}.CleanEnv("/h", "/c.pem")
	for _, e := range env {
		if strings.HasSuffix(e, "=callers") {
			t.Errorf("the caller's %s is passed on", e)
		}
	}
	for _, want := range []string{"HOME=/h", "PIP_CERT=/c.pem", "PATH=/opt/py/bin:" + cleanPath, "PIP_CONFIG_FILE=/dev/null",
		"HTTPS_PROXY=http://proxy.example:1", "no_proxy=intra.example,localhost,127.0.0.1,::1"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not in %q", want, env)
		}
	}
	if got := (Python{Path: "/usr/bin/python3"}).searchPath(); got != cleanPath {
		t.Errorf("search path %q", got)
	}
}
