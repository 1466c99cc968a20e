package builder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// TestIsUserns: only bwrap's words about forbidding user namespaces mean that it cannot
// be done; those about making the first one do not.
func TestIsUserns(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]bool{
		"bwrap: Unknown option --disable-userns":                                                                   true,
		"bwrap: cannot open /proc/sys/user/max_user_namespaces: No such file or directory":                         true,
		"bwrap: sysctl user.max_user_namespaces = 1: Read-only file system":                                        true,
		"bwrap: unshare user ns: No space left on device":                                                          true,
		"bwrap: creation of new user namespaces was not disabled as requested":                                     true,
		"bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)": false,
		"bwrap: No permissions to create new namespace":                                                            false,
		"bwrap: Unknown option --new":                                                                              false,
		"bwrap: Can't find source path /etc/x: Permission denied":                                                  false,
		"": false,
	} {
		if got := isUserns(said); got != want {
			t.Errorf("%q: %v", said, got)
		}
	}
}

// TestForbidsUserns: after a failure of another kind a build's fence is as it was; a
// bwrap that cannot forbid further namespaces is used without. It changes the PATH of
// this process, so nothing else runs meanwhile.
func TestForbidsUserns(t *testing.T) {
	bwrapOnly(t)
	real, err := exec.LookPath("bwrap")
	must(t, err)
	user := proc.BuildUser()
	for name, c := range map[string]struct {
		script string
		fails  string // "": the second look works
		keeps  bool
	}{
		"fails once": {`if mkdir "$0.once" 2>/dev/null; then echo "bwrap: Creating new namespace failed: Resource temporarily unavailable"; exit 1; fi`,
			"temporarily unavailable", false},
		"too old": {`case " $* " in *" --disable-userns "*) echo "bwrap: Unknown option --disable-userns"; exit 1;; esac`, "", true},
		"too old, and no namespaces": {`case " $* " in *" --disable-userns "*) echo "bwrap: Unknown option --disable-userns"; exit 1;; esac
echo "bwrap: No permissions to create new namespace"; exit 1`, "No permissions", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := proc.NewTempDir("pinwheel-userns-", user)
			must(t, err)
			defer dir.Remove()
			must(t, os.Chmod(dir.Path, 0o777))
			fake := filepath.Join(dir.Path, "bwrap")
			must(t, os.WriteFile(fake, fmt.Appendf(nil, "#!/bin/sh\n%s\nexec %s \"$@\"\n", c.script, real), 0o755))
			t.Setenv("PATH", dir.Path+":"+os.Getenv("PATH"))
			x, err := openBox(Build{Dir: filepath.Join(dir.Path, "b"), Mode: Bwrap, User: user, Python: pip.Python{Path: "/usr/bin/python3"}})
			must(t, err)
			_, err = x.look(t.Context(), "exit 0")
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || x.keepUserns != c.keeps {
				t.Errorf("%v, further namespaces are left to builds: %v", err, x.keepUserns)
			}
			must(t, x.remove())
		})
	}
}
