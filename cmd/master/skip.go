package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

func newSkip() *cobra.Command {
	var w ingest.Word
	cmd := &cobra.Command{
		Use:   "skip PACKAGE [VERSION...] --reason TEXT",
		Short: "Have something not built",
		Long: `skip says that PACKAGE, or these versions of it, are not to be built, on all targets or
on one, and why. What is queued, waits or has failed is skipped at once, and builds under
way are told to stop; what is built stays. It holds until unskip, also for what the farm
does not know yet. The number that is printed takes it back (undo).`,
		Example: "  master skip tensorflow --target cp39-linux_armv7l --reason 'needs 64 bits'",
	}
	cmd.Flags().StringVar(&w.Reason, "reason", "", "why, for all who ask")
	return wordCommand(cmd, &w, func(ctx context.Context, in *ingest.Ingest) (ingest.Told, error) { return in.Skip(ctx, w) },
		func() error {
			if strings.TrimSpace(w.Reason) == "" {
				return cli.Usage("skip: say why with --reason")
			}
			return checkReason(w.Reason)
		})
}

// checkReason holds what people are told to one line.
func checkReason(why string) error {
	if len(why) > 500 || !utf8.ValidString(why) || strings.ContainsFunc(why, unicode.IsControl) {
		return cli.Usage("--reason: want one line of at most 500 bytes")
	}
	return nil
}

func newUnskip() *cobra.Command {
	var w ingest.Word
	cmd := &cobra.Command{
		Use:   "unskip PACKAGE [VERSION...]",
		Short: "Take a skip back",
		Long: `unskip takes back what skip, or remove, said of PACKAGE: without versions all of it,
with a target only what was said of that target. What becomes of the jobs is decided
anew, as for all others. The number that is printed takes it back (undo).`,
		Example: "  master unskip tensorflow",
	}
	return wordCommand(cmd, &w, func(ctx context.Context, in *ingest.Ingest) (ingest.Told, error) { return in.Unskip(ctx, w) }, nil)
}

// wordCommand makes the command by which a maintainer says something of a package.
func wordCommand(cmd *cobra.Command, w *ingest.Word, say func(context.Context, *ingest.Ingest) (ingest.Told, error), check func() error) *cobra.Command {
	var set settings
	var asJSON bool
	cmd.Args = cobra.MinimumNArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, version, err := pep.ParsePin(args[0])
		if err != nil {
			return cli.Usage("%w", err)
		}
		w.Package, w.Versions, w.Actor = pep.NormalizeName(name), args[1:], actor()
		if version != "" {
			w.Versions = append(slices.Clone(w.Versions), version)
		}
		if slices.Contains(w.Versions, "") {
			return cli.Usage("%s: a version is empty", cmd.Name())
		}
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		return visit(cmd, set, func(ctx context.Context, h *home, log zerolog.Logger) error {
			if err := knownTarget(ctx, h.Store, w.Target); err != nil {
				return err
			}
			policy, err := plannedPolicy(ctx, h.Store)
			if err != nil {
				return err
			}
			told, err := say(ctx, ingest.New(ingest.Config{Store: h.Store, Policy: policy, Log: log}))
			if errors.Is(err, ingest.ErrNotSkipped) {
				return fmt.Errorf("%s: %w", w.Package, err)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printToldJSON(cmd.OutOrStdout(), *w, told)
			}
			printTold(cmd.OutOrStdout(), cmd.Name(), *w, told)
			return nil
		})
	}
	set.stateFlag(cmd)
	targetFlag(cmd, &w.Target, "only on this target")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// knownTarget refuses a target that the farm does not have, with those that it has.
func knownTarget(ctx context.Context, st *store.Store, name string) error {
	if name == "" {
		return nil
	}
	rows, err := st.AllTargets(ctx)
	if err != nil {
		return err
	}
	var have []string
	for _, r := range rows {
		if r.Target.String() == name {
			return nil
		}
		have = append(have, r.Target.String())
	}
	return fmt.Errorf("this farm has no target %s; it has %s", name, cmp.Or(strings.Join(have, ", "), "none"))
}

// plannedPolicy is the policy of the farm's master, which no other command knows.
func plannedPolicy(ctx context.Context, st *store.Store) (farm.Policy, error) {
	at, err := st.Following(ctx)
	if err != nil {
		return farm.Policy{}, err
	}
	if policy, ok := ingest.PlannedPolicy(at.Fingerprint); ok {
		return policy, nil
	}
	return farm.DefaultPolicy(), nil
}

func printToldJSON(out io.Writer, w ingest.Word, t ingest.Told) error {
	moved := map[string]int{}
	for state, n := range t.Moved {
		moved[string(state)] = n
	}
	return cli.JSON(out, map[string]any{
		"schema": 1, "audit": t.Audit, "package": w.Package, "known": t.Known, "skips": append([]store.Skip{}, t.Skips...),
		"moved": moved, "aborted": t.Aborted, "built": t.Built, "unknown": append([]string{}, t.Unknown...),
	})
}

// toldWords say what becomes of jobs.
func toldWords(t ingest.Told) string {
	var parts []string
	for _, state := range farm.States() {
		if n := t.Moved[state]; n > 0 {
			parts = append(parts, counted(int64(n), "job", "jobs")+" "+string(state))
		}
	}
	if t.Aborted > 0 {
		parts = append(parts, counted(t.Aborted, "build", "builds")+" told to stop")
	}
	if len(parts) == 0 {
		parts = append(parts, "no job changes")
	}
	return strings.Join(parts, ", ")
}

func printTold(out io.Writer, word string, w ingest.Word, t ingest.Told) {
	cli.Say(out, "%s %s: %s; `master undo %d` takes it back", word, skipped(w.Package, w.Versions, w.Target), toldWords(t), t.Audit)
	if !t.Known {
		cli.Say(out, "the farm does not know %s yet", w.Package)
	} else if len(t.Unknown) > 0 {
		cli.Say(out, "the farm does not know %s %s yet", w.Package, strings.Join(t.Unknown, ", "))
	}
	if word == "skip" && t.Built > 0 {
		cli.Say(out, "%s built before: the wheels stay; `master remove` takes them down", counted(int64(t.Built), "job was", "jobs were"))
	}
}

// skipped names what a word is about.
func skipped(name string, versions []string, target string) string {
	what := strings.Join(append([]string{name}, versions...), " ")
	if target != "" {
		what += " on " + target
	}
	return what
}
