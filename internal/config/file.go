package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// fileFlag names the file; it is the one setting that the file cannot hold.
const fileFlag = "config"

// maxFile is far more than all settings together; a file that is larger is some
// other file.
const maxFile = 1 << 20 // bytes

// file is a settings file that was read.
type file struct {
	path    string
	entries []entry
}

// WithFile gives a command the flag --config, and with it the program's file.
// all is the program's whole settings struct: one file serves all commands, so
// it may hold keys that this one has no flag for.
func WithFile(flags *pflag.FlagSet, name string, all any) {
	flags.String(fileFlag, "", fmt.Sprintf("settings `FILE` "+
		"(default, if there is one: /etc/pinwheel/%[1]s.toml for root, else pinwheel/%[1]s.toml below XDG_CONFIG_HOME or ~/.config)", name))
	f := flags.Lookup(fileFlag)
	annotate(f, program, name)
	annotate(f, allKeys, keys(all)...)
}

// DefaultFile is where a program looks for its settings: /etc/pinwheel/NAME.toml
// for root, else pinwheel/NAME.toml below XDG_CONFIG_HOME or ~/.config. Empty: a
// user without a home has none.
func DefaultFile(name string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/etc/pinwheel", name+".toml")
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "pinwheel", name+".toml")
}

// readSettings reads the file that --config names, which must be there, else the
// default one, which need not.
func readSettings(config *pflag.Flag) (*file, error) {
	path := config.Value.String()
	asked := path != ""
	if !asked {
		path = DefaultFile(config.Annotations[program][0])
	}
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !asked:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read settings: %w; name another file with --config", err)
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, fmt.Errorf("read settings: %s is not a settings file; name another with --config", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w; name another file with --config", err)
	}
	entries, err := parseTOML(path, data)
	if err != nil {
		return nil, err
	}
	annotate(config, origin, FromFile, path)
	return &file{path: path, entries: entries}, nil
}
