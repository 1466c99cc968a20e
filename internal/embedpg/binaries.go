package embedpg

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pinwheel/internal/proc"
)

// oldest is the first major version whose features the farm's SQL may use.
const oldest = 14

// binaries are the programs of one Postgres installation.
type binaries struct {
	dir   string
	major int
}

func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }
func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }

// search is where to look for a server, and who will run it.
type search struct {
	user proc.User
	dirs []string // in order of preference
}

// newSearch looks in the PATH, then in Debian's folders, which are not in it.
func newSearch(u proc.User) search {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		panic(err) // only a malformed pattern
	}
	return search{user: u, dirs: append(dirs, debian...)}
}

// find returns the server of the wanted major version, or the newest that is
// not too old if want is 0. If there is none, the second result says for
// people what was found instead.
func (s search) find(ctx context.Context, want int) (binaries, string, bool) {
	var best binaries
	var passed []string
	for _, dir := range s.folders() {
		major, err := serverVersion(ctx, s.user, dir)
		switch {
		case err != nil:
			passed = append(passed, err.Error())
		case want != 0 && major == want:
			return binaries{dir, major}, "", true
		case want != 0 || major < oldest:
			passed = append(passed, fmt.Sprintf("version %d in %s", major, dir))
		case major > best.major:
			best = binaries{dir, major}
		}
	}
	return best, strings.Join(passed, "; "), best.major != 0
}

// folders lists, each once, the folders that hold initdb and a real postgres.
// Links are followed: what lies in a bin folder of the PATH is often a link to
// where the installation is. A script named postgres is passed over, since the
// signals that end the server with us would end only the script.
func (s search) folders() []string {
	var found []string
	for _, dir := range s.dirs {
		program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || !filepath.IsAbs(program) || !isELF(program) {
			continue
		}
		home := filepath.Dir(program)
		if _, err := os.Stat(filepath.Join(home, "initdb")); err == nil && !slices.Contains(found, home) {
			found = append(found, home)
		}
	}
	return found
}

func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 4)
	_, err = f.Read(magic)
	return err == nil && bytes.Equal(magic, []byte("\x7fELF"))
}

// serverVersion asks the server for its major version, as the user who will
// run it, which proves that he can.
func serverVersion(ctx context.Context, u proc.User, dir string) (int, error) {
	program := filepath.Join(dir, "postgres")
	out, err := run(ctx, u, "", program, "--version")
	if err != nil {
		if access := u.CanExec(program); access != nil {
			return 0, access // says more than "permission denied"
		}
		return 0, err
	}
	return parseVersion(out)
}

var versionOutput = regexp.MustCompile(`\(PostgreSQL\) (\d{1,4})\b`)

// parseVersion reads the major version from what postgres --version prints;
// since 10 that is the first number.
func parseVersion(out string) (int, error) {
	// 19devel and 17beta1 do not match, on purpose: the release will not read
	// what they write.
	m := versionOutput.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("read version of Postgres: not one of a release: %.80q", out)
	}
	return strconv.Atoi(m[1])
}
