package cli

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// called is the name that a program was started by, if that is its own, maybe
// with a prefix: installed it is pinwheel-master, and its help, its errors and
// its completion must say what the caller can type.
func called(name, arg0 string) string {
	if base := filepath.Base(arg0); strings.HasSuffix(base, "-"+name) {
		return base
	}
	return name
}

// renameExamples makes the examples of all commands say the program's name; they
// are written with the plain one.
func renameExamples(root *cobra.Command) {
	name := root.Name()
	plain := name[strings.LastIndex(name, "-")+1:]
	var rename func(cmd *cobra.Command)
	rename = func(cmd *cobra.Command) {
		cmd.Example = strings.ReplaceAll("\n"+cmd.Example, "\n  "+plain+" ", "\n  "+name+" ")[1:]
		for _, sub := range cmd.Commands() {
			rename(sub)
		}
	}
	rename(root)
}
