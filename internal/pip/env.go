package pip

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cleanPath is the PATH of builds, the same on every slave.
const cleanPath = "/usr/local/bin:/usr/bin:/bin"

// CleanEnv is the whole environment in which pip builds and proves: none of
// the caller's settings but his proxies, and the certificates in the file
// bundle as the child sees it ("" for none). Home is HOME as the child sees it.
// PYTHONNOUSERSITE is set because a package may write to that home while it is
// built, and pip must not then run what it wrote.
func (py Python) CleanEnv(home, bundle string) []string {
	env := []string{
		"HOME=" + home,
		"LANG=C.UTF-8",
		"PATH=" + py.searchPath(),
		"PIP_CONFIG_FILE=" + os.DevNull,
		"PIP_DISABLE_PIP_VERSION_CHECK=1",
		"PIP_NO_INPUT=1",
		"PYTHONNOUSERSITE=1",
		"GIT_TERMINAL_PROMPT=0",
	}
	if py.HostPlatform != "" {
		env = append(env, "_PYTHON_HOST_PLATFORM="+py.HostPlatform)
	}
	if bundle != "" {
		for _, name := range []string{"PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"} {
			env = append(env, name+"="+bundle)
		}
	}
	return append(env, proxies()...)
}

func (py Python) searchPath() string {
	dir := filepath.Dir(py.Path)
	for _, d := range filepath.SplitList(cleanPath) {
		if d == dir {
			return cleanPath
		}
	}
	return dir + ":" + cleanPath
}

// proxies passes the caller's proxies on. The farm's own index may be on
// loopback, which no proxy reaches.
func proxies() []string {
	var env []string
	for _, name := range []string{"http_proxy", "https_proxy", "all_proxy"} {
		for _, n := range []string{name, strings.ToUpper(name)} {
			if v := os.Getenv(n); v != "" {
				env = append(env, n+"="+v)
			}
		}
	}
	if env == nil {
		return nil
	}
	direct := "localhost,127.0.0.1,::1"
	for _, n := range []string{"no_proxy", "NO_PROXY"} {
		if v := os.Getenv(n); v != "" {
			direct = v + "," + direct
			break
		}
	}
	return append(env, "no_proxy="+direct, "NO_PROXY="+direct)
}

// CopyBundle copies the certificate bundle into dir, where every user can read
// it, and returns the copy's name, or "" if there is no bundle. The original
// may lie where only the caller can go.
func (py Python) CopyBundle(dir string) (string, error) {
	if py.Bundle == "" {
		return "", nil
	}
	b, err := os.ReadFile(py.Bundle)
	if err != nil {
		return "", fmt.Errorf("read the certificate bundle of pip's settings: %w", err)
	}
	name := filepath.Join(dir, "certificates.pem")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return "", fmt.Errorf("copy the certificate bundle: %w", err)
	}
	if err := os.Chmod(name, 0o644); err != nil { // whatever the umask
		return "", fmt.Errorf("copy the certificate bundle: %w", err)
	}
	return name, nil
}
