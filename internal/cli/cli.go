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
	"golang.org/x/term"

	"pinwheel/internal/config"
	"pinwheel/internal/logging"
)

// Exit codes of every program.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// usageError is wrong use: unknown flags, missing words, values that cannot be.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// Usage marks an error as wrong use, for exit code 2.
func Usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

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
		return Usage("%w; see `%s --help`", err, cmd.CommandPath())
	})
	return root
}

// Main runs the command and turns its error into words and an exit code.
func Main(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	markUsage(root)
	renameExamples(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	if !errors.Is(err, ErrSilent) {
		fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), OneLine(err.Error()))
	}
	var usage usageError
	if errors.As(err, &usage) {
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
			return Usage("unknown command %q; see `%s --help`", args[0], c.CommandPath())
		}
		return nil
	}
	if cmd.RunE == nil { // a group may do something of its own
		cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}

// OneLine folds an error's text into one line.
func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

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
