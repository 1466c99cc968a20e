package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tree has the pages of all commands, "master-target-add", with their flags. It
// comes out of the programs' own manual pages, so it is what they really take.
type tree map[string]map[string]bool

var (
	aFlag    = regexp.MustCompile(`(?m)^\.B "--([a-z][a-z0-9-]*)`)
	aCommand = regexp.MustCompile(`^[a-z][a-z-]*$`)

	// A call of a program in code: under its installed name anywhere, under its
	// plain name where a line or a span begins.
	installed = regexp.MustCompile(`(?:^|[\s/=])pinwheel-(master|slave|monitor)((?: +\S+)*)`)
	plain     = regexp.MustCompile(`^\s*(?:\$ )?(master|slave|monitor)((?: +\S+)*)`)

	aVariable = regexp.MustCompile(`PINWHEEL_[A-Z0-9_]*[A-Z0-9]`)
)

// othersFlags stand alone in documents, and are of other programs.
func othersFlags() map[string]string {
	const pips = "an option of pip wheel, which recipes may give"
	const roots = "an option of scripts/armroot"
	return map[string]string{
		"no-build-isolation": pips, "use-pep517": pips, "no-use-pep517": pips, "check-build-dependencies": pips,
		"config-settings": pips, "global-option": pips, "build-option": pips,
		"progress-bar": pips, "prefer-binary": pips,
		"suite": roots, "mirror": roots, "keyring": roots,
	}
}

func commandsOf(pages map[string]string) tree {
	all := tree{}
	for page, text := range pages {
		all[page] = map[string]bool{}
		for _, m := range aFlag.FindAllStringSubmatch(text, -1) {
			all[page][m[1]] = true
		}
	}
	return all
}

// manuals are the manual pages by name, with plain hyphens.
func manuals(t *testing.T) map[string]string {
	t.Helper()
	lookAtEverything(t)
	all := map[string]string{}
	for _, program := range []string{"master", "slave", "monitor"} {
		dir := t.TempDir()
		cmd := exec.Command("go", "run", "./cmd/"+program, "man", dir)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("write the manual of %s: %v\n%s", program, err, out)
		}
		pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
		if err != nil || len(pages) < 3 {
			t.Fatalf("the manual of %s has %d pages (%v)", program, len(pages), err)
		}
		for _, page := range pages {
			b, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimSuffix(filepath.Base(page), ".1")] = strings.ReplaceAll(string(b), `\-`, "-")
		}
	}
	return all
}

// group says whether a page is of a command that only holds others.
func (x tree) group(page string) bool {
	for other := range x {
		if strings.HasPrefix(other, page+"-") {
			return true
		}
	}
	return false
}

// wrong says what is not there of a call that a document shows.
func (x tree) wrong(program, words string) string {
	page := program
	for _, w := range strings.Fields(words) {
		name, _, _ := strings.Cut(strings.TrimLeft(strings.Trim(w, "[]|();,"), "-"), "=")
		switch {
		case strings.HasPrefix(strings.TrimLeft(w, "["), "--"):
			if !x[page][name] && !strings.Contains(name, "…") {
				return "the command " + page + " has no flag --" + name
			}
		case x[page+"-"+w] != nil:
			page += "-" + w
		case x.group(page) && aCommand.MatchString(w) && w != "help":
			return page + " has no command " + w
		case strings.ContainsAny(w, "&|;><#"):
			return "" // the rest is the shell's, or a comment
		}
	}
	return ""
}

func (x tree) anyHas(flag string) bool {
	for _, flags := range x {
		if flags[flag] {
			return true
		}
	}
	return false
}

// codeOf lists what a document sets as code: spans, and the lines of blocks.
func codeOf(doc string) []string {
	code := quoted(aFence.ReplaceAllString(doc, ""))
	for _, block := range aFence.FindAllString(doc, -1) {
		code = append(code, strings.Split(block, "\n")...)
	}
	for line := range strings.Lines(doc) {
		if strings.HasPrefix(line, "    ") {
			code = append(code, strings.TrimSpace(line))
		}
	}
	return code
}

// TestCommands asks the programs once for all that is to be held against them.
func TestCommands(t *testing.T) {
	t.Parallel()
	pages := manuals(t)
	all := commandsOf(pages)
	t.Run("shown", func(t *testing.T) { shown(t, all) })
	t.Run("variables", func(t *testing.T) { variablesExist(t, all) })
	t.Run("examples", func(t *testing.T) { haveExamples(t, all, pages) })
}

// shown holds the calls that documents show against the commands there are.
func shown(t *testing.T, all tree) {
	calls := 0
	for _, doc := range documents(t) {
		for _, code := range codeOf(read(t, doc)) {
			code, _, _ = strings.Cut(code, " # ") // a comment in a block
			for _, form := range []*regexp.Regexp{installed, plain} {
				for _, m := range form.FindAllStringSubmatch(code, -1) {
					calls++
					if w := all.wrong(m[1], m[2]); w != "" {
						t.Errorf("%s shows `%s`: %s", doc, strings.TrimSpace(m[0]), w)
					}
				}
			}
			flag, ok := strings.CutPrefix(code, "--")
			flag, _, _ = strings.Cut(flag, " ")
			flag, _, _ = strings.Cut(flag, "=")
			if ok && !all.anyHas(flag) && othersFlags()[flag] == "" {
				t.Errorf("%s names the flag --%s, which no command has", doc, flag)
			}
		}
	}
	if calls < 10 {
		t.Errorf("only %d calls were found in the documents", calls)
	}
}

func TestWrongCallsAreSeen(t *testing.T) {
	t.Parallel()
	x := tree{"master": {"version": true}, "master-target": {}, "master-target-add": {"python": true}, "master-nats-config": {}}
	for words, wrong := range map[string]bool{
		"target add cp311-linux_armv7l --python=3.11": false, "nats-config": false, "help target": false,
		"target": false, "--version": false, "target add x > file --glibc": false, "target add [--python V]": false,
		"targets": true, "target remove x": true, "target add x --glibc 2.36": true, "nats-config --python": true, "--python": true,
	} {
		if got := x.wrong("master", words); (got != "") != wrong {
			t.Errorf("master %s: %q", words, got)
		}
	}
}

// variablesExist: a variable stands for a flag, or the source has it word for
// word.
func variablesExist(t *testing.T, all tree) {
	source := read(t, "Makefile")
	for _, s := range sources(t) {
		source += read(t, s.path)
	}
	forEach(t, aVariable, func(doc string, m []string) {
		flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(m[0], "PINWHEEL_")), "_", "-")
		if !all.anyHas(flag) && !strings.Contains(source, `"`+m[0]) {
			t.Errorf("%s names the variable %s, which nothing reads", doc, m[0])
		}
	})
}

// haveExamples: of a command that does something, an example says more than the
// list of its flags.
func haveExamples(t *testing.T, all tree, pages map[string]string) {
	for page, text := range pages {
		if all.group(page) {
			continue
		}
		for _, section := range []string{"DESCRIPTION", "EXAMPLES"} {
			if !strings.Contains(text, "\n.SH "+section+"\n") {
				t.Errorf("the command %s has no %s: give it a Long text and an Example", page, strings.ToLower(section))
			}
		}
	}
}
