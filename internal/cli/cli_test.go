package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// farmer is a small one with commands that end in every way.
func farmer() *cobra.Command {
	root := Root("farmer", "Feeds animals", "farmer feeds animals.")
	var after time.Duration
	feed := &cobra.Command{Use: "feed ANIMAL", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		if _, err := Logger(cmd); err != nil {
			return err
		}
		switch args[0] {
		case "dragon":
			return Usage("%s: want an animal", args[0])
		case "wrapped":
			return fmt.Errorf("feed: %w", Usage("no animal"))
		case "wolf":
			return errors.New("feed wolf: it is\n\tnot hungry")
		case "cat":
			return ErrSilent
		case "lazy cat":
			return fmt.Errorf("said: %w", ErrSilent)
		}
		return JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "fed": args[0], "after": after})
	}}
	feed.Flags().DurationVar(&after, "after", 0, "")
	list := &cobra.Command{Use: "list", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
	barn := &cobra.Command{Use: "barn", Short: "The barn"}
	barn.AddCommand(list)
	root.AddCommand(feed, barn)
	return root
}

func onFarm(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	root := farmer()
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = Main(t.Context(), root, args)
	return code, stdout.String(), stderr.String()
}

// TestExitCodes: 0 done, 1 failed, 2 wrong use; and an error is one line that
// begins with the program's name and leaves stdout alone.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		args string
		code int
		says string // on stderr; "" for silence
	}{
		{"feed cow", ExitDone, ""},
		{"feed cow --after 90s", ExitDone, ""},
		{"", ExitDone, ""},
		{"--help", ExitDone, ""},
		{"--version", ExitDone, ""},
		{"barn", ExitDone, ""},
		{"barn --help --log-level debug", ExitDone, ""},
		{"feed cow --help", ExitDone, ""},
		{"help", ExitDone, ""},
		{"help barn list", ExitDone, ""},
		{"help feed cow", ExitDone, ""},
		{"barn list", ExitDone, ""},

		{"feed wolf", ExitFailed, "feed wolf: it is not hungry"},
		{"feed cat", ExitFailed, ""},
		{"feed lazy_cat", ExitFailed, ""},

		{"feed dragon", ExitUsage, "dragon: want an animal"},
		{"feed wrapped", ExitUsage, "feed: no animal"},
		{"feed", ExitUsage, "feed ANIMAL"},
		{"feed cow horse", ExitUsage, "feed ANIMAL"},
		{"feed cow --hurry", ExitUsage, "--hurry"},
		{"feed cow -z", ExitUsage, "--help"},
		{"feed cow --after", ExitUsage, "--after"},
		{"feed cow --after tomorrow", ExitUsage, "tomorrow"},
		{"feed cow --log-level loud", ExitUsage, `log level "loud"`},
		{"fed cow", ExitUsage, `unknown command "fed"`},
		{"barn burn", ExitUsage, `unknown command "burn"`},
		{"fed --help", ExitUsage, `unknown command "fed"; see`},
		{"--help fed", ExitUsage, `unknown command "fed"`},
		{"barn burn -h", ExitUsage, `unknown command "burn"`},
		{"help fed", ExitUsage, `unknown command "fed"`},
		{"help barn burn", ExitUsage, `unknown command "burn"`},
		{"barn list all", ExitUsage, "barn list"},
		{"--hurry", ExitUsage, "--hurry"},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(c.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			code, out, errs := onFarm(t, args...)
			if code != c.code || !strings.Contains(errs, c.says) || (errs == "") != (c.says == "") {
				t.Errorf("exit code %d, stderr %q; want %d, %q", code, errs, c.code, c.says)
			}
			if code != ExitDone && out != "" {
				t.Errorf("it failed, and stdout has %q", out)
			}
			if name := farmer().Name(); errs != "" && (!strings.HasPrefix(errs, name+": ") || strings.Count(errs, "\n") != 1) {
				t.Errorf("want one line that begins with %s: %q", name, errs)
			}
		})
	}
}

// TestUsageIsItsCause: the error behind a wrong use can still be told.
func TestUsageIsItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	if err := Usage("feed: %w", cause); !errors.Is(err, cause) || err.Error() != "feed: cause" {
		t.Errorf("%v", err)
	}
}

// TestEnvironment is not parallel: variables belong to the whole process.
func TestEnvironment(t *testing.T) {
	t.Setenv("PINWHEEL_AFTER", "3s")
	if code, out, errs := onFarm(t, "feed", "cow"); code != ExitDone || !strings.Contains(out, "3000000000") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	t.Setenv("PINWHEEL_AFTER", "tomorrow")
	if code, _, errs := onFarm(t, "feed", "cow"); code != ExitUsage || !strings.Contains(errs, `PINWHEEL_AFTER="tomorrow"`) {
		t.Errorf("%d %q", code, errs)
	}
	if code, _, errs := onFarm(t, "feed", "cow", "--after=1s"); code != ExitDone {
		t.Errorf("a flag was given, and the variable is looked at: %d %q", code, errs)
	}
	os.Unsetenv("PINWHEEL_AFTER") // as it was: Setenv puts it back
	t.Setenv("PINWHEEL_LOG_LEVEL", "loud")
	if code, _, errs := onFarm(t, "feed", "cow"); code != ExitUsage || !strings.Contains(errs, "loud") {
		t.Errorf("%d %q", code, errs)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	_, out, _ := onFarm(t, "feed", "<cow & calf>")
	if !strings.HasSuffix(out, "}\n") || !strings.Contains(out, "<cow & calf>") {
		t.Errorf("%q", out)
	}
	var got struct{ Schema int }
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Schema != 1 {
		t.Errorf("%q: %v", out, err)
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "a\n\tb  c\r\n": "a b c", "\n": ""} {
		if got := OneLine(in); got != want {
			t.Errorf("%q is %q", in, got)
		}
	}
}

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) || IsTerminal(new(bytes.Buffer)) || IsTerminal((*os.File)(nil)) {
		t.Error("a file or a buffer is a terminal")
	}
}

// TestContextReachesTheCommand: what ends the program ends its command.
func TestContextReachesTheCommand(t *testing.T) {
	t.Parallel()
	root := Root("farmer", "", "")
	root.AddCommand(&cobra.Command{Use: "wait", RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Context().Err() }})
	var errs bytes.Buffer
	root.SetErr(&errs)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := Main(ctx, root, []string{"wait"}); code != ExitFailed || !strings.Contains(errs.String(), "canceled") {
		t.Errorf("%d %q", code, &errs)
	}
}
