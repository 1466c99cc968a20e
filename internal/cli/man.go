package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pinwheel/internal/config"
)

// newMan is hidden: packagers call it once, and everybody else reads the pages.
func newMan(program string) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write a manual page for every command into a folder",
		Long:    "man writes PROGRAM.1 and PROGRAM-COMMAND.1 for every command into DIR, which is made if need be.",
		Example: "  " + program + " man /usr/local/share/man/man1",
		Hidden:  true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("manual pages: %w", err)
			}
			return writeManual(cmd.Root(), args[0])
		},
	}
}

// writeManual writes the page of cmd and those of the commands below it.
func writeManual(cmd *cobra.Command, dir string) error {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if err := os.WriteFile(filepath.Join(dir, pageName(cmd)+".1"), manual(cmd), 0o644); err != nil {
		return fmt.Errorf("manual page of %s: %w", cmd.CommandPath(), err)
	}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		if err := writeManual(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manual is the page of one command in the form of man(7). It has no date, so
// that the same source makes the same page.
func manual(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"Pinwheel %s\" \"Pinwheel\"\n", strings.ToUpper(roff(pageName(cmd))), roff(Version()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	section(&b, "DESCRIPTION", cmd.Long)
	options(&b, "OPTIONS", cmd.LocalFlags())
	options(&b, "OPTIONS OF ALL COMMANDS", cmd.InheritedFlags())
	if cmd.HasExample() {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	seeAlso(&b, cmd)
	return b.Bytes()
}

// section sets text in paragraphs; indented lines stay as they are.
func section(b *bytes.Buffer, title, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	literal := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch indented := strings.HasPrefix(line, "  "); {
		case indented && !literal:
			fmt.Fprintln(b, ".PP\n.nf")
		case !indented && literal:
			fmt.Fprintln(b, ".fi")
		}
		literal = strings.HasPrefix(line, "  ")
		if line == "" {
			line = ".PP"
		} else {
			line = roff(line)
		}
		fmt.Fprintln(b, line)
	}
	if literal {
		fmt.Fprintln(b, ".fi")
	}
}

// options lists flags with the variables that stand in for them.
func options(b *bytes.Buffer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, ".TP\n.B \"%s\"\n%s", roff(strings.TrimSpace("--"+f.Name+" "+kind)), roff(usage))
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(b, " (default: %s)", roff(homeless(f.DefValue)))
		}
		if f.Name != "help" && f.Name != "version" {
			fmt.Fprintf(b, ". Variable: %s", roff(config.Variable(f.Name)))
		}
		fmt.Fprintln(b)
	})
}

// homeless keeps the home of whoever makes the pages out of them.
func homeless(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return path
	}
	return strings.Replace(path, home+"/", "~/", 1)
}

// seeAlso names the pages above and below.
func seeAlso(b *bytes.Buffer, cmd *cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, pageName(cmd.Parent()))
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			pages = append(pages, pageName(sub))
		}
	}
	for i, p := range pages {
		pages[i] = fmt.Sprintf(".BR %s (1)", roff(p))
	}
	fmt.Fprintf(b, ".SH SEE ALSO\n%s\n", strings.Join(pages, " ,\n"))
}

// roff is text that means itself: no hyphen that copies as another character,
// no line that is taken for a request, and ASCII only, which every formatter
// reads.
func roff(s string) string {
	var b strings.Builder
	start := true
	for _, r := range s {
		switch {
		case start && (r == '.' || r == '\''):
			b.WriteString(`\&` + string(r))
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '"':
			b.WriteString(`\(dq`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
		start = r == '\n'
	}
	return b.String()
}
