package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newCompletion takes the place of cobra's own command, which has a sub-command
// per shell, and shells that no farm has.
func newCompletion(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the script that completes commands in a shell",
		Long: fmt.Sprintf(`completion prints what a shell must read to complete the commands, flags and known
values of %[1]s with the Tab key. Put it where your shell looks:

    bash  /etc/bash_completion.d/%[1]s (or below ~/.local/share/bash-completion/completions)
    zsh   a folder of $fpath, as _%[1]s
    fish  ~/.config/fish/completions/%[1]s.fish`, program),
		Example:               fmt.Sprintf("  %[1]s completion bash > /etc/bash_completion.d/%[1]s", program),
		Args:                  cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs:             []string{"bash", "zsh", "fish"},
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeCompletion(cmd.Root(), args[0], cmd.OutOrStdout())
		},
	}
}

func writeCompletion(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	default:
		return root.GenFishCompletion(w, true)
	}
}

// Offer tells the shells what can stand where: the values of flags, by the
// flag's name, and folders or files where one is meant. Nothing is looked up: a
// key press must not start a database. It is called once, when all commands are
// there.
func Offer(root *cobra.Command, values map[string][]string) {
	root.LocalFlags().VisitAll(func(f *pflag.Flag) { offer(root, f, values[f.Name]) })
	if root.ValidArgs == nil && root.ValidArgsFunction == nil && !wantsFile(root.Use) {
		root.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range root.Commands() {
		Offer(sub, values)
	}
}

func offer(cmd *cobra.Command, f *pflag.Flag, values []string) {
	kind, _ := pflag.UnquoteUsage(f)
	complete := cobra.NoFileCompletions
	switch {
	case values != nil:
		complete = cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	case strings.HasSuffix(f.Name, "-dir"):
		complete = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case wantsFile(kind), f.Name == "python":
		return // files are what shells offer by themselves
	}
	// It fails for flags of another command, and for those that have theirs.
	_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
}

// wantsFile reads the words that stand for values in a line of use.
func wantsFile(use string) bool {
	return slices.ContainsFunc(strings.Fields(use), func(w string) bool {
		return slices.Contains([]string{"FILE", "WHEEL", "DIR"}, strings.Trim(w, "[].|-"))
	})
}
