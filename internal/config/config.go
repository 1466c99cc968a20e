// Package config settles a program's settings. A flag that was given wins, then
// the variable PINWHEEL_NAME of the environment, then the program's one file,
// then the default; all four go by the same name and mean the same.
//
// Input: a struct whose tags are the manual (Bind), the environment, a TOML
// file. Output: the struct, filled, and where each value came from (Effective);
// the same tags make the tables of docs/configuration.md (Markdown).
//
// It owns nothing and writes nothing. It never guesses: a key that nobody knows,
// or a value that does not fit, is an error that names where it stands.
package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// The annotations of a flag: what this package knows of it beside its value.
const (
	isSetting = "pinwheel-setting" // the file may set it
	origin    = "pinwheel-origin"  // kind and place of its value's source
	program   = "pinwheel-program" // of --config: whose file it is
	allKeys   = "pinwheel-keys"    // of --config: every key that a file may hold
)

// Where a value can come from, in falling order.
const (
	FromFlag     = "flag"
	FromVariable = "variable"
	FromFile     = "file"
	FromDefault  = "default"
)

// Variable is the name of the environment variable behind a flag.
func Variable(flag string) string {
	return "PINWHEEL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Settle sets the flags that were not given: from the environment, else from the
// file. A value that a flag does not take, and a key that the program does not
// know, are errors that say where it stands.
func Settle(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	if err := FromEnv(flags, lookup); err != nil {
		return err
	}
	f := flags.Lookup(fileFlag)
	if f == nil {
		return nil
	}
	file, err := readSettings(f)
	if err != nil || file == nil {
		return err
	}
	return fromFile(flags, f, file)
}

// FromEnv sets the flags that were not given from the environment. A value that
// the flag does not take is an error that names the variable. An empty variable
// says nothing: that is how many tools unset one.
func FromEnv(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			came(f, FromFlag, "--"+f.Name)
			return
		}
		v, _ := lookup(Variable(f.Name))
		// Help and version are questions, no settings.
		if v == "" || f.Name == "help" || f.Name == "version" || failed != nil {
			return
		}
		if err := flags.Set(f.Name, v); err != nil {
			failed = fmt.Errorf("%s=%q: %w", Variable(f.Name), hide(v), cause(err))
			return
		}
		came(f, FromVariable, Variable(f.Name))
	})
	return failed
}

// fromFile sets what neither a flag nor a variable set. Keys of settings that
// this command has no use for are passed over: one file serves all commands.
func fromFile(flags *pflag.FlagSet, config *pflag.Flag, file *file) error {
	begun := map[string]bool{} // of settings that take several values, in a table each
	for _, e := range file.entries {
		at := fmt.Sprintf("%s:%d", file.path, e.line)
		f := flags.Lookup(e.key)
		known := f != nil && f.Annotations[isSetting] != nil
		switch {
		case !known && !slices.Contains(config.Annotations[allKeys], e.key):
			return fmt.Errorf("%s: unknown key %q; `%s config` lists the keys", at, e.key, config.Annotations[program][0])
		case !known || f.Changed && !begun[e.key]:
			continue
		}
		begun[e.key] = e.kind == kindTable
		if err := e.fits(f.Value.Type()); err != nil {
			return fmt.Errorf("%s: %s: %w", at, e.key, err)
		}
		if err := flags.Set(e.key, e.value); err != nil {
			return fmt.Errorf("%s: %s: %w", at, e.key, cause(err))
		}
		came(f, FromFile, at)
	}
	return nil
}

// cause drops pflag's own words around a value's error: they name a flag that
// nobody typed, and repeat a value that may be secret.
func cause(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return invalid.Unwrap()
	}
	return err
}

func came(f *pflag.Flag, kind, place string) { annotate(f, origin, kind, place) }

func annotate(f *pflag.Flag, key string, values ...string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[key] = values
}
