// Package config settles a program's settings: a flag that was given wins, then
// the variable PINWHEEL_NAME of the environment, then the default. It reads the
// environment only; it writes nothing.
package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Variable is the name of the environment variable behind a flag.
func Variable(flag string) string {
	return "PINWHEEL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// FromEnv sets the flags that were not given from the environment. A value that
// the flag does not take is an error that names the variable.
func FromEnv(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || failed != nil {
			return
		}
		v, ok := lookup(Variable(f.Name))
		if !ok {
			return
		}
		if err := flags.Set(f.Name, v); err != nil {
			failed = fmt.Errorf("%s=%q: %w", Variable(f.Name), v, err)
		}
	})
	return failed
}
