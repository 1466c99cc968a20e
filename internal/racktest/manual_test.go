package racktest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pinwheel/internal/manualtest"
)

// book is the manual of operations, of which every command in some chapters is typed as it
// stands there.
type book struct {
	*manualtest.Book
	t *testing.T
}

func openBook(t *testing.T) *book {
	t.Helper()
	return &book{manualtest.Open(t), t}
}

var (
	aRemark = regexp.MustCompile(`\s\s+#.*$`)
	aPlay   = regexp.MustCompile("(?m)^    (ansible-playbook .*)$|`(ansible-playbook [^`]*|[a-z]+\\.yml(?: -e [^`]*)?|-e [^`]*)`")
	aHosted = regexp.MustCompile(`-i \S*/hostedpi\.py`)
	aStatic = regexp.MustCompile(`-i [^ ]*(json|yml)\b ?`)
	aName   = regexp.MustCompile(`\bpi=\S+`)
	aNumber = regexp.MustCompile(`\bat_once=\S+`)
)

func (b *book) lines(heading string, n int) []string {
	b.t.Helper()
	return b.Lines(heading, n)
}

// usage is a call of ansible-playbook without what is a machine's own in it.
func usage(call string) string {
	call = strings.TrimPrefix(aRemark.ReplaceAllString(call, ""), "ansible-playbook ")
	call = aHosted.ReplaceAllString(call, "--hosted")
	call = aStatic.ReplaceAllString(call, "")
	call = aName.ReplaceAllString(aNumber.ReplaceAllString(call, "at_once=N"), "pi=NAME")
	words := strings.Fields(call)
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasSuffix(w, ".yml") }); i > 0 {
		book := words[i]
		words = append([]string{book}, slices.Delete(words, i, i+1)...)
	}
	return strings.Join(words, " ")
}

// played wants every play that the chapter shows to have been played so.
func (b *book) played(plays []string) {
	b.t.Helper()
	n := 0
	for _, m := range aPlay.FindAllStringSubmatch(b.Text("A rack by Ansible"), -1) {
		n++
		want := usage(m[1] + m[2])
		ok := func(p string) bool { return p == want }
		if strings.HasPrefix(want, "-e ") {
			ok = func(p string) bool { return strings.Contains(p, want) }
		}
		if !slices.ContainsFunc(plays, ok) {
			b.t.Errorf("the manual shows %q, which nobody has played: %q", want, plays)
		}
	}
	if n < 8 {
		b.t.Errorf("only %d plays were found in the manual", n)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		"ansible-playbook -i my.yml site.yml --check    # says what it would do": "site.yml --check",
		"ansible-playbook -i my.yml -i inventory/hostedpi.py site.yml":           "site.yml --hosted",
		"site.yml -i /x/inventory.json -i /y/inventory/hostedpi.py":              "site.yml --hosted",
		"enroll.yml -e pi=pi-04":                                     "enroll.yml -e pi=NAME",
		"remove.yml -i /x/inventory.json -e pi=pi-01 -e drain=false": "remove.yml -e pi=NAME -e drain=false",
		"-e at_once=N": "-e at_once=N",
	} {
		if got := usage(call); got != want {
			t.Errorf("%q is %q, want %q", call, got, want)
		}
	}
}

var aPackage = regexp.MustCompile(`(?m)^  - name: (\S+)\n    reason: (\S.*)\n`)

// devPackages are the Debian packages that slaves have, in order.
func devPackages(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../ansible/dev-packages.yml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range aPackage.FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	if n := strings.Count(string(text), "- name:"); n != len(names) || n < 30 {
		t.Errorf("of %d packages %d have a name and a reason", n, len(names))
	}
	return names
}

func TestDevPackages(t *testing.T) {
	t.Parallel()
	names := devPackages(t)
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not in order, or twice: %q", names)
	}
}
