package builder

import (
	"os"
	"path/filepath"
	"strings"
)

// etcFiles are what a build may see of the host's /etc: what the loader, the
// resolver, Python and compilers read. Patterns as of filepath.Glob.
func etcFiles() []string {
	return []string{"alternatives", "ca-certificates", "ca-certificates.conf", "debian_version",
		"gai.conf", "host.conf", "hosts", "java-*-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
		"localtime", "lsb-release", "magic", "mime.types", "nsswitch.conf", "os-release", "pki/ca-trust",
		"pki/tls/cert.pem", "pki/tls/certs", "protocols", "python3", "python3.*", "resolv.conf", "rpc", "services", "ssl/certs",
		"ssl/openssl.cnf", "timezone", "xml"}
}

// view lists the bwrap options that make the file system: an allow-list, so
// that what is not named here does not exist for the build.
func (x *box) view() []string {
	v := []string{"--ro-bind", "/usr", "/usr"}
	v = append(v, merged("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32")...)
	v = append(v, hostEtc()...)
	for _, name := range []string{"passwd", "group"} {
		v = append(v, "--ro-bind", filepath.Join(x.dir, "etc", name), "/etc/"+name)
	}
	if x.bundle != "" {
		v = append(v, "--ro-bind", x.bundle, "/etc/"+filepath.Base(x.bundle))
	}
	v = append(v, "--proc", "/proc", "--dev", "/dev",
		"--bind", filepath.Join(x.dir, "work"), "/build",
		"--bind", filepath.Join(x.dir, "work", "tmp"), "/tmp", // on disk: a small machine's memory is not for this
		"--dir", "/var", "--symlink", "/tmp", "/var/tmp")
	v = append(v, x.pythonView()...)
	return append(v, "--remount-ro", "/", "--chdir", "/build")
}

// merged shows top-level folders as the host has them: links into /usr, or
// folders of their own.
func merged(dirs ...string) []string {
	var v []string
	for _, d := range dirs {
		if to, err := os.Readlink(d); err == nil {
			v = append(v, "--symlink", to, d)
		} else if _, err := os.Stat(d); err == nil {
			v = append(v, "--ro-bind", d, d)
		}
	}
	return v
}

// hostEtc binds what links lead to, since their targets (/run/…) are not in
// the view. A link into /usr or within /etc stays right this way, too.
func hostEtc() []string {
	var v []string
	for _, pattern := range etcFiles() {
		found, err := filepath.Glob(filepath.Join("/etc", pattern))
		if err != nil {
			continue // only a malformed pattern
		}
		for _, path := range found {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				v = append(v, "--ro-bind-try", real, path)
			}
		}
	}
	return v
}

// pythonView shows a Python outside /usr: of each of its prefixes only what an
// interpreter has there, since a prefix may be a home's ~/.local.
func (x *box) pythonView() []string {
	var v []string
	for _, prefix := range x.python.Prefixes {
		if prefix == "/usr" || prefix == "/" || strings.HasPrefix(prefix, "/usr/") {
			continue
		}
		for _, part := range []string{"bin", "include", "lib", "lib64", "libexec", "pyvenv.cfg"} {
			path := filepath.Join(prefix, part)
			if _, err := os.Stat(path); err == nil {
				v = append(v, "--ro-bind", path, path)
			}
		}
	}
	return v
}
