package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// reclassifyFlags are those of `failures --reclassify`.
type reclassifyFlags struct {
	reclassify, dryRun, json bool
}

func (f *reclassifyFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.reclassify, "reclassify", false, "tell all failures anew, by the rules as they are now")
	flags.BoolVar(&f.dryRun, "dry-run", false, "with --reclassify: change nothing, and show what would be")
}

func (f *reclassifyFlags) run(cmd *cobra.Command, set settings) error {
	if !f.reclassify {
		return cli.Usage("failures: --dry-run goes with --reclassify; without, nothing is changed")
	}
	for _, name := range []string{"package", "target", "cause", "limit"} {
		if cmd.Flags().Changed(name) {
			return cli.Usage("failures: --reclassify is for all that failed, not with --%s", name)
		}
	}
	rules, err := readRules(set.Rules)
	if err != nil {
		return err
	}
	return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
		return f.all(ctx, cmd, h.Store, rules, rulesInWords(set.Rules))
	})
}

// all tells by the rules why jobs failed. What it wrote stays when it is ended in
// between, and is not written again by the next run.
func (f *reclassifyFlags) all(ctx context.Context, cmd *cobra.Command, st *store.Store, rules *farm.Rules, words string) error {
	bar := newProgress(cmd.ErrOrStderr())
	defer bar.clear()
	r := &reclassifying{st: st, rules: rules, dry: f.dryRun, began: time.Now(), unexplained: farm.NewTally(manyLines),
		run: store.Reclassification{Actor: actor(), Rules: words, Moves: map[store.Move]int64{}}}
	r.told = func() { bar.show("%s", r.progress()) }
	if err := r.all(ctx); err != nil {
		bar.clear()
		if n := r.run.Changed(); n > 0 && !f.dryRun {
			cli.Say(cmd.ErrOrStderr(), "%s told anew so far; the next run goes on with the others", counted(n, "job was", "jobs were"))
		}
		return err
	}
	bar.clear()
	if f.json {
		return cli.JSON(cmd.OutOrStdout(), r.asJSON())
	}
	return r.print(cmd.OutOrStdout())
}

func rulesInWords(path string) string {
	if path == "" {
		return "the built-in rules"
	}
	return path + " and the built-in rules"
}

// progress is how far it is, how fast, and how long it will take.
func (r *reclassifying) progress() string {
	return fmt.Sprintf("%s failed jobs read, %s of them told anew%s", grouped(r.run.Read), grouped(r.run.Changed()),
		pace(time.Since(r.began), r.run.Read, float64(r.place-r.first)/float64(max(1, r.last-r.first))))
}

// moves are the changes, most frequent first.
func (r *reclassifying) moves() []store.Move {
	list := []store.Move{}
	for m := range r.run.Moves {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b store.Move) int {
		return cmp.Or(cmp.Compare(r.run.Moves[b], r.run.Moves[a]), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return list
}

func (r *reclassifying) asJSON() map[string]any {
	type move struct {
		From farm.Cause `json:"from"`
		To   farm.Cause `json:"to"`
		Jobs int64      `json:"jobs"`
	}
	moves := []move{}
	for _, m := range r.moves() {
		moves = append(moves, move{m.From, m.To, r.run.Moves[m]})
	}
	return map[string]any{"schema": 1, "rules": r.run.Rules, "dry_run": r.dry, "audit": r.run.Audit, "read": r.run.Read,
		"changed": r.run.Changed(), "moves": moves, "unexplained": r.unexplained.Total(), "unexplained_lines": r.unexplained.Top(manyLines)}
}

func (r *reclassifying) print(out io.Writer) error {
	var b strings.Builder
	for _, m := range r.moves() {
		what := string(m.From) + " -> " + string(m.To)
		if m.From == m.To {
			what = string(m.From) + ", with another detail or hint"
		}
		fmt.Fprintf(&b, "%8d  %s\n", r.run.Moves[m], what)
	}
	verb := "were told anew"
	if r.dry {
		verb = "would be told anew"
	}
	fmt.Fprintf(&b, "%s of %s failed jobs %s", grouped(r.run.Changed()), grouped(r.run.Read), verb)
	if r.run.Audit != 0 {
		fmt.Fprintf(&b, " (audit %d)", r.run.Audit)
	}
	b.WriteString("\n")
	if n := r.unexplained.Total(); n > 0 {
		fmt.Fprintf(&b, "\nNo rule was written for %s of them; what their logs say last:\n", grouped(n))
		for _, line := range r.unexplained.Top(fewLines) {
			fmt.Fprintf(&b, "%8d  %s\n", line.Jobs, cmp.Or(cli.OneLine(line.Text), "(nothing)"))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
