package clitest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"
)

// The rows that a command's scripts have.
const (
	rowGood       = "good"       // it does what it is for
	rowUsage      = "usage"      // wrong use: exit status 2
	rowConfig     = "config"     // --config names a file with an unknown key
	rowNoDatabase = "nodatabase" // nobody answers at --database-url
	rowJSON       = "json"       // what --json prints is held against a file
	rowInterrupt  = "interrupt"  // a signal ends it while it waits for something
)

// Rows fails for every command of the program that lacks a row in the scripts of
// the folders, so that a new one without scripts is seen. A command with the flag
// --config needs that row, and so on. Without says why one needs none, by
// "COMMAND: ROW"; what is said there for nothing fails too.
func Rows(t *testing.T, root *cobra.Command, without map[string]string, dirs ...string) {
	t.Helper()
	want := wanted(root, root.Name())
	have := map[string]bool{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s has %d scripts (%v)", dir, len(paths), err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range found(want, string(txtar.Parse(text).Comment)) {
				have[row] = true
			}
		}
	}
	for command, rows := range want {
		for _, row := range rows {
			key := command + ": " + row
			switch {
			case !have[key] && without[key] == "":
				t.Errorf("no script has the row %q of %q", row, command)
			case have[key] && without[key] != "":
				t.Errorf("%q has the row %q, which it is said to be without: %s", command, row, without[key])
			}
		}
	}
}

// wanted lists the rows of cmd and of the commands below it, by their full names.
func wanted(cmd *cobra.Command, name string) map[string][]string {
	all := map[string][]string{name: {rowGood, rowUsage}}
	for row, flag := range map[string]string{
		rowConfig: "config", rowNoDatabase: "database-url", rowInterrupt: "database-url", rowJSON: "json",
	} {
		if cmd.LocalFlags().Lookup(flag) != nil {
			all[name] = append(all[name], row)
		}
	}
	for _, sub := range cmd.Commands() {
		for n, rows := range wanted(sub, name+" "+sub.Name()) {
			all[n] = rows
		}
	}
	return all
}

var (
	goodLine = regexp.MustCompile(`^(exits 0|start|interrupt) `)
	jsonLine = regexp.MustCompile(`^(exits|interrupt) .* --json\b`)
	heldLine = regexp.MustCompile(`^cmp(env)? stdout \S+\.json$`)
	goneLine = regexp.MustCompile(`^(?:end|signal) (\S+) (?:INT|TERM|HUP)\b`) // of what was started under that name
	stopLine = regexp.MustCompile(`^interrupt (?:INT|TERM|HUP) `)
)

// found lists what rows a script has, "COMMAND: ROW".
func found(commands map[string][]string, script string) []string {
	var rows []string
	printed := ""                  // the command whose JSON is the last output
	started := map[string]string{} // the commands under way, by their names in the script
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if heldLine.MatchString(line) && printed != "" {
			rows = append(rows, printed+": "+rowJSON)
		}
		if m := goneLine.FindStringSubmatch(line); m != nil && started[m[1]] != "" {
			rows = append(rows, started[m[1]]+": "+rowInterrupt)
		}
		command := commandOf(commands, line)
		if command == "" {
			continue
		}
		printed = ""
		if jsonLine.MatchString(line) {
			printed = command
		}
		if words := strings.Fields(line); words[0] == "start" {
			started[words[1]] = command
		}
		if stopLine.MatchString(line) {
			rows = append(rows, command+": "+rowInterrupt)
		}
		switch {
		case goodLine.MatchString(line):
			rows = append(rows, command+": "+rowGood)
		case strings.HasPrefix(line, "refused 2 ") && strings.Contains(line, " --config "):
			rows = append(rows, command+": "+rowConfig)
		case strings.HasPrefix(line, "refused 2 "):
			rows = append(rows, command+": "+rowUsage)
		case strings.HasPrefix(line, "refused 1 'connect to the database: "):
			rows = append(rows, command+": "+rowNoDatabase)
		}
	}
	return rows
}

var quotedText = regexp.MustCompile(`'[^']*'`)

// commandOf finds the command that a line runs, the longest name that fits; none:
// the line runs none.
func commandOf(commands map[string][]string, line string) string {
	// What is quoted is a pattern or an argument, and may name commands too.
	words := strings.Fields(quotedText.ReplaceAllString(line, "''"))
	for i := 2; i < len(words); i++ { // before it: the script's own command, and its first word
		words[i] = words[i][strings.LastIndex(words[i], "/")+1:]
		name := words[i]
		if commands[name] == nil {
			continue
		}
		for _, word := range words[i+1:] {
			if commands[name+" "+word] == nil {
				break
			}
			name += " " + word
		}
		return name
	}
	return ""
}
