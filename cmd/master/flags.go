package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// wordFlag is a flag that is read when it is given, so that all commands which have it
// refuse the same in the same words. Nothing is refused always: a variable of the shell
// that is not set would else mean everything.
type wordFlag[T ~string | ~int16] struct {
	into *T
	text string // as it was given
	read func(string) (T, error)
}

func (w *wordFlag[T]) String() string { return w.text }
func (w *wordFlag[T]) Type() string   { return "string" }

func (w *wordFlag[T]) Set(text string) (err error) {
	if text == "" {
		return cli.BadValue("is empty")
	}
	if *w.into, err = w.read(text); err != nil {
		return cli.BadValue("%w", err)
	}
	w.text = text
	return nil
}

func addWord[T ~string | ~int16](cmd *cobra.Command, into *T, name, usage string, read func(string) (T, error)) {
	cmd.Flags().Var(&wordFlag[T]{into: into, read: read}, name, usage)
}

// textFlag is for any text but none.
func textFlag(cmd *cobra.Command, into *string, name, usage string) {
	addWord(cmd, into, name, usage, func(s string) (string, error) { return s, nil })
}

// packageFlag gives a normalized name (PEP 503).
func packageFlag(cmd *cobra.Command, into *string, usage string) {
	addWord(cmd, into, "package", usage, func(s string) (string, error) {
		if !pep.ValidName(s) {
			return "", fmt.Errorf("%q is not a package name", s)
		}
		return pep.NormalizeName(s), nil
	})
}

// versionFlag gives a version as PEP 440 writes it, where it is one.
func versionFlag(cmd *cobra.Command, into *string, usage string) {
	addWord(cmd, into, "version", usage, func(s string) (string, error) { return spelledVersion(s), nil })
}

// spelledVersion is a version as PEP 440 writes it, where it is one.
func spelledVersion(v string) string {
	if parsed, err := pep.ParseVersion(v); err == nil {
		return parsed.String()
	}
	return v
}

// targetFlag takes what is a target's name; whether the farm has it says [knownTarget].
func targetFlag(cmd *cobra.Command, into *string, usage string) {
	addWord(cmd, into, "target", usage, func(s string) (string, error) {
		_, err := farm.ParseTarget(s)
		return s, beside(err, "target ")
	})
}

// beside is an error without the word that stands in the flag's name already.
func beside(err error, word string) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(err.Error(), word))
}

func slaveFlag(cmd *cobra.Command, into *string, usage string) {
	addWord(cmd, into, "slave", usage, func(s string) (string, error) { return s, beside(farm.CheckSlaveName(s), "slave name ") })
}

func causeFlag(cmd *cobra.Command, into *farm.Cause, usage string) {
	addWord(cmd, into, "cause", usage, farm.ParseCause)
}

// priorityFlag begins with what is in it.
func priorityFlag(cmd *cobra.Command, into *farm.Priority, usage string) {
	cmd.Flags().Var(&wordFlag[farm.Priority]{into: into, text: into.Word(), read: farm.ParsePriority}, "priority", usage)
}

// limitFlag is how many of something are shown: what it begins with, if nobody says
// otherwise, and never more than most.
func limitFlag(cmd *cobra.Command, into *int, most int, things, usage string) {
	cmd.Flags().Var(&limit{into, most, things}, "limit", usage)
}

type limit struct {
	into   *int
	most   int
	things string
}

func (l *limit) String() string { return strconv.Itoa(*l.into) }
func (l *limit) Type() string   { return "int" }

func (l *limit) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > l.most {
		return cli.BadValue("%s: want a number of %s, at most %d", text, l.things, l.most)
	}
	*l.into = n
	return nil
}
