package builder

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// etcFiles are what a build may see of its root's /etc: what the loader, the
// resolver, Python and compilers read. Patterns as of filepath.Glob.
func etcFiles() []string {
	return []string{"alternatives", "ca-certificates", "ca-certificates.conf", "debian_version",
		"gai.conf", "host.conf", "hosts", "java-*-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
		"localtime", "lsb-release", "magic", "mime.types", "nsswitch.conf", "os-release", "pki/ca-trust",
		"pki/tls/cert.pem", "pki/tls/certs", "protocols", "python3", "python3.*", "resolv.conf", "rpc", "services", "ssl/certs",
		"ssl/openssl.cnf", "timezone", "xml"}
}

// hostFiles are those of them that are about the network, which is the machine's
// whatever root a build has.
func hostFiles() []string { return []string{"hosts", "resolv.conf"} }

// view lists the bwrap options that make the file system: an allow-list, so
// that what is not named here does not exist for the build. All of it is taken from
// below the root, whose links are followed there and nowhere else.
func (x *box) view() []string {
	v := x.bound("/usr")
	v = append(v, x.merged("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32")...)
	v = append(v, x.rootEtc()...)
	for _, name := range []string{"passwd", "group"} {
		v = append(v, "--ro-bind", filepath.Join(x.dir, "etc", name), "/etc/"+name)
	}
	if x.bundle != "" {
		v = append(v, "--ro-bind", x.bundle, "/etc/"+filepath.Base(x.bundle))
	}
	if len(x.constraints) > 0 {
		v = append(v, "--ro-bind", filepath.Join(x.dir, "etc", constraintsFile), "/etc/"+constraintsFile)
	}
	v = append(v, "--proc", "/proc", "--dev", "/dev",
		"--bind", filepath.Join(x.dir, "work"), "/build",
		"--bind", filepath.Join(x.dir, "work", "tmp"), "/tmp", // on disk: a small machine's memory is not for this
		"--dir", "/var", "--symlink", "/tmp", "/var/tmp")
	v = append(v, x.pythonView()...)
	return append(v, "--remount-ro", "/", "--chdir", "/build")
}

// bound shows a file or folder of the root where it is there, if there is one.
func (x *box) bound(path string) []string {
	real, err := InRoot(x.root, path)
	if err != nil {
		return nil
	}
	return []string{"--ro-bind", real, path}
}

// merged shows top-level folders as the root has them: links into /usr, or
// folders of their own.
func (x *box) merged(dirs ...string) []string {
	var v []string
	for _, d := range dirs {
		if to, err := os.Readlink(filepath.Join(x.root, d)); err == nil {
			v = append(v, "--symlink", to, d)
		} else {
			v = append(v, x.bound(d)...)
		}
	}
	return v
}

// rootEtc binds what links lead to, since their targets (/run/…) are not in
// the view. A link into /usr or within /etc stays right this way, too.
func (x *box) rootEtc() []string {
	var v []string
	for _, pattern := range etcFiles() {
		root := x.root
		if slices.Contains(hostFiles(), pattern) {
			root = HostRoot
		}
		found, err := filepath.Glob(filepath.Join(root, "etc", pattern))
		if err != nil {
			continue // only a malformed pattern
		}
		for _, path := range found {
			seen := filepath.Join("/", strings.TrimPrefix(path, root))
			if real, err := InRoot(root, seen); err == nil {
				v = append(v, "--ro-bind-try", real, seen)
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
			v = append(v, x.bound(filepath.Join(prefix, part))...)
		}
	}
	return v
}
