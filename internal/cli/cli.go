// Package cli is what the commands of all programs share: the root command, the
// settings from the environment, exit codes, and the form of errors and JSON.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"pinwheel/internal/config"
	"pinwheel/internal/farm"
	"pinwheel/internal/logging"
)

// Exit codes of every program.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// badValue is why a flag's value cannot be, in words that follow the flag's name.
type badValue struct{ error }

// BadValue is for a flag's own type to refuse a value: "is empty", or "0: want more".
func BadValue(format string, args ...any) error { return badValue{fmt.Errorf(format, args...)} }

// usageError is wrong use: unknown flags, missing words, values that cannot be.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// Usage marks an error as wrong use, for exit code 2.
func Usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// IsUsage says whether an error is wrong use.
func IsUsage(err error) bool { return errors.As(err, new(usageError)) }

// ErrSilent ends a command with exit code 1 when all is said already.
var ErrSilent = errors.New("failed")

// Common are the settings of every command of every program.
type Common struct {
	LogLevel string `key:"log-level" default:"info" help:"<LEVEL> of the log on stderr: debug, info, warn or error"`
}

// Root makes a program's root command.
func Root(name, short, long string) *cobra.Command {
	root := &cobra.Command{
		Use: called(name, os.Args[0]), Short: short, Long: long,
		SilenceUsage: true, SilenceErrors: true, // Main says each error once, in one line
		Version: build(), // with cobra's own words: a template of ours would link in text/template, 3 MB of it
		Args:    cobra.NoArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.Settle(cmd.Flags(), os.LookupEnv); err != nil {
				return usageError{err}
			}
			return nil
		},
	}
	config.Bind(root.PersistentFlags(), &Common{})
	// It fails for a flag that is not there only, and this one is.
	_ = root.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(newCompletion(root.Name()), newMan(root.Name()))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var invalid *pflag.InvalidValueError
		var bad badValue
		if errors.As(err, &invalid) && errors.As(err, &bad) {
			return Usage("--%s %w", invalid.GetFlag().Name, bad)
		}
		return Usage("%w; see `%s --help`", err, cmd.CommandPath())
	})
	return root
}

// Main runs the command and turns its error into words and an exit code.
func Main(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.InitDefaultHelpCmd()
	markUsage(root)
	wrong := strictHelp(root)
	renameExamples(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = *wrong
	}
	if err == nil {
		return ExitDone
	}
	if !errors.Is(err, ErrSilent) {
		fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), OneLine(err.Error()))
	}
	if IsUsage(err) {
		return ExitUsage
	}
	return ExitFailed
}

// markUsage makes wrong arguments of every command wrong use.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return Usage("%w; use: %s", err, c.UseLine())
			}
			return nil
		}
	}
	if cmd.HasSubCommands() {
		isGroup(cmd)
	}
	for _, sub := range cmd.Commands() {
		markUsage(sub)
	}
}

// isGroup makes a command that only holds others answer for itself: cobra takes
// a name that it does not know for a wish for help, and reports success.
func isGroup(cmd *cobra.Command) {
	cmd.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return nil
	}
	if cmd.RunE == nil { // a group may do something of its own
		cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}

// strictHelp makes a wish for help with a command that there is not wrong use.
// Cobra shows what there is and reports success: a script that asks whether a
// command exists would hear yes. The error is there after the execution.
func strictHelp(root *cobra.Command) *error {
	var wrong error
	show := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		// Flags are read by now; what is left are words.
		if words := c.Flags().Args(); c.HasSubCommands() && len(words) > 0 {
			wrong = unknownCommand(c, words[0])
			return
		}
		show(c, args)
	})
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Args = func(_ *cobra.Command, words []string) error {
			found, rest, err := root.Find(words)
			if err == nil && found.HasSubCommands() && len(rest) > 0 {
				err = unknownCommand(found, rest[0])
			}
			return err
		}
	}
	return &wrong
}

func unknownCommand(group *cobra.Command, word string) error {
	return Usage("unknown command %q; see `%s --help`", word, group.CommandPath())
}

// OneLine is foreign text in one line, in which nothing steers a terminal or hides from
// who reads it (farm.Clean): whatever a package, the upstream or a slave wrote comes to
// people through it, or through [Say].
func OneLine(s string) string { return strings.Join(strings.Fields(farm.Clean(s)), " ") }

// Say writes a line for people, with blanks as they are, and else as OneLine has it.
func Say(out io.Writer, format string, args ...any) error {
	_, err := io.WriteString(out, Shown(fmt.Sprintf(format, args...))+"\n")
	return err
}

// Shown is text as Say writes it.
func Shown(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, farm.Clean(s))
}

// Logger makes the root logger of a command: on stderr, for people on a
// terminal, JSON lines elsewhere.
func Logger(cmd *cobra.Command) (zerolog.Logger, error) {
	level, err := cmd.Flags().GetString("log-level")
	if err != nil {
		return zerolog.Nop(), err
	}
	log, err := logging.New(cmd.ErrOrStderr(), level, IsTerminal(cmd.ErrOrStderr()))
	if err != nil {
		return log, usageError{err}
	}
	return log, nil
}

// IsTerminal says whether w is one.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// JSON prints one object, indented, with its final newline.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
