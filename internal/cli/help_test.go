package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// program is a small one with a command of every kind.
func program() *cobra.Command {
	root := Root("master", "The head", "master leads.")
	enroll := &cobra.Command{
		Use: "enroll NAME", Short: "Print credentials", Long: "enroll prints.\n\n    .dot - \"quoted\" \\x\n\n'More …",
		Example: "  master enroll pi-01\n  master enroll pi-02", Args: cobra.ExactArgs(1),
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	enroll.Flags().String("role", "slave", "slave or operator")
	enroll.Flags().String("key-dir", "", "where keys are")
	enroll.Flags().String("creds", "", "credentials `FILE`")
	enroll.Flags().String("listen", "", "an address")
	check := &cobra.Command{Use: "check WHEEL", Short: "Verify", Args: cobra.ExactArgs(1),
		RunE: func(*cobra.Command, []string) error { return nil }}
	root.AddCommand(enroll, check)
	Offer(root, map[string][]string{"role": {"slave", "operator"}})
	return root
}

func run(t *testing.T, root *cobra.Command, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	code := Main(context.Background(), root, args)
	return out.String(), code
}

func TestShellsAreOffered(t *testing.T) {
	t.Parallel()
	const noFiles, dirs, files = ":4", ":16", ":0"
	for _, c := range []struct {
		args []string
		want []string // the words, then the directive
	}{
		{[]string{"enroll", "--role", ""}, []string{"slave", "operator", noFiles}},
		{[]string{"--log-level", ""}, []string{"debug", "error", "info", "warn", noFiles}},
		{[]string{"enroll", "--key-dir", ""}, []string{dirs}},
		{[]string{"enroll", "--creds", ""}, []string{files}},
		{[]string{"enroll", "--listen", ""}, []string{noFiles}},
		{[]string{"enroll", ""}, []string{noFiles}},
		{[]string{"check", ""}, []string{files}},
		{[]string{"completion", ""}, []string{"bash", "fish", "zsh", noFiles}},
	} {
		out, code := run(t, program(), append([]string{"__completeNoDesc"}, c.args...)...)
		got := strings.Fields(out)
		if i := slices.IndexFunc(got, func(w string) bool { return strings.HasPrefix(w, ":") }); i >= 0 {
			got = got[:i+1] // the rest is for people
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if code != ExitDone || !slices.Equal(got, c.want) {
			t.Errorf("%q offers %q (exit status %d), want %q", c.args, got, code, c.want)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string]string{
		"bash": "complete -o default -F __start_master master",
		"zsh":  "#compdef master",
		"fish": "complete -c master",
	} {
		out, code := run(t, program(), "completion", shell)
		if code != ExitDone || !strings.Contains(out, want) {
			t.Errorf("completion %s: exit status %d, and no %q in it", shell, code, want)
		}
	}
	for _, wrong := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		if out, code := run(t, program(), wrong...); code != ExitUsage || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: exit status %d and %q, want one line and %d", wrong, code, out, ExitUsage)
		}
	}
}

func TestProgramsGoByTheNameTheyWereCalledBy(t *testing.T) {
	t.Parallel()
	for arg0, want := range map[string]string{
		"master": "master", "./bin/pinwheel-master": "pinwheel-master", "/tmp/x/master.test": "master", "": "master", "webmaster": "master",
	} {
		if got := called("master", arg0); got != want {
			t.Errorf("called(master, %q) = %q, want %q", arg0, got, want)
		}
	}
	root := program()
	root.Use = "pinwheel-master"
	out, _ := run(t, root, "enroll", "--help")
	for _, want := range []string{"\n  pinwheel-master enroll pi-01\n", "\n  pinwheel-master enroll pi-02\n", "pinwheel-master enroll NAME [flags]"} {
		if !strings.Contains(out, want) {
			t.Errorf("help lacks %q:\n%s", want, out)
		}
	}
}

func TestVersionSaysWhatWasBuilt(t *testing.T) {
	t.Parallel()
	out, code := run(t, program(), "--version")
	want := "master version unreleased, commit unknown, " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	if code != ExitDone || out != want {
		t.Errorf("--version prints %q (exit status %d), want %q", out, code, want)
	}
}

func TestManual(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "man1")
	if out, code := run(t, program(), "man", dir); code != ExitDone || out != "" {
		t.Fatalf("man: exit status %d, %s", code, out)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range pages {
		pages[i] = filepath.Base(pages[i])
	}
	if want := []string{"master-check.1", "master-completion.1", "master-enroll.1", "master.1"}; !slices.Equal(pages, want) {
		t.Errorf("pages %q, want %q", pages, want)
	}
	b, err := os.ReadFile(filepath.Join(dir, "master-enroll.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		".TH MASTER\\-ENROLL 1 ", "master\\-enroll \\- Print credentials\n",
		"\n.PP\n\\&'More \\[u2026]\n", "\n.PP\n.nf\n    .dot \\- \\(dqquoted\\(dq \\ex\n.fi\n", "\n.B \"\\-\\-creds FILE\"\n",
		"(default: slave). Variable: PINWHEEL_ROLE\n", ".SH OPTIONS OF ALL COMMANDS\n.TP\n.B \"\\-\\-log\\-level LEVEL\"\n",
		".SH SEE ALSO\n.BR master (1)\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the page of enroll lacks %q:\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "\n.dot") || strings.Contains(string(b), "\n'") {
		t.Errorf("text of the page is taken for a request:\n%s", b)
	}
}
