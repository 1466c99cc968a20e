package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pinwheel/internal/config"
)

// Config makes a program's command `config`, which shows the settings as they
// hold, and why. effective returns the struct behind the command's flags, with
// what the program derives. The caller binds the flags.
func Config(program string, effective func() any) *cobra.Command {
	var asJSON, manual bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings as they hold, and where each comes from",
		Long: `config takes all settings as flags, variables and file give them, and shows the value
of each with its source. Passwords in URLs are hidden.`,
		Example: "  " + program + " config --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if manual {
				_, err := io.WriteString(cmd.OutOrStdout(), config.Markdown(effective(), Common{}))
				return err
			}
			level, err := cmd.Flags().GetString("log-level")
			if err != nil {
				return err
			}
			list := config.Effective(cmd.Flags(), effective(), Common{LogLevel: level})
			if asJSON {
				return JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "file": config.File(cmd.Flags()), "settings": list})
			}
			return printSettings(cmd, list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&manual, "markdown", false, "print the table of docs/configuration.md")
	_ = cmd.Flags().MarkHidden("markdown") // it fails only for flags that there are not
	return cmd
}

func printSettings(cmd *cobra.Command, list []config.Setting) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tVALUE\tFROM")
	for _, s := range list {
		value, from := s.Value, s.Source
		if value == "" {
			value = "(" + s.Note + ")"
		}
		if s.Place != "" {
			from += " " + s.Place
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Key, value, from)
	}
	return w.Flush()
}
