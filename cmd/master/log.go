package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/cli"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

func newLog() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "log BUILD | PACKAGE [VERSION]",
		Short: "Print the log of a build",
		Long: `log prints the log of the build with the number BUILD, or of the newest build of
PACKAGE that left one, and on stderr what build that is. What is all digits is a number.`,
		Example: "  master log 4711\n  master log lxml 5.2.1",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := parseBuild(args)
			if err != nil {
				return err
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				b, err := which(ctx, h.Store)
				if err != nil {
					return err
				}
				return printLog(ctx, cmd, h.set.DepotDir, b, asJSON)
			})
		},
	}
	set.bind(cmd, "state-dir", "database-url", "depot-dir")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, the log in it")
	return cmd
}

// parseBuild reads what build is meant.
func parseBuild(args []string) (func(context.Context, *store.Store) (store.BuildRow, error), error) {
	if id, err := strconv.ParseInt(args[0], 10, 64); err == nil && len(args) == 1 {
		return func(ctx context.Context, st *store.Store) (store.BuildRow, error) {
			b, err := st.Build(ctx, id)
			if errors.Is(err, farm.ErrNotFound) {
				err = fmt.Errorf("there is no build %d", id)
			}
			return b, err
		}, nil
	}
	name, version, err := pep.ParsePin(args[0])
	if err != nil {
		return nil, cli.Usage("%w", err)
	}
	if len(args) == 2 {
		version = args[1]
	}
	return func(ctx context.Context, st *store.Store) (store.BuildRow, error) {
		b, err := st.NewestBuild(ctx, pep.NormalizeName(name), version)
		if errors.Is(err, farm.ErrNotFound) {
			what := strings.TrimSpace(name + " " + version)
			err = fmt.Errorf("no build of %s has left a log; `master status` says what is under way", what)
		}
		return b, err
	}, nil
}

func printLog(ctx context.Context, cmd *cobra.Command, depotDir string, b store.BuildRow, asJSON bool) error {
	text, closer, err := openLog(ctx, depotDir, b)
	if err != nil {
		return err
	}
	defer closer.Close()
	if asJSON {
		return printLogJSON(cmd.OutOrStdout(), b, text)
	}
	cli.Say(cmd.ErrOrStderr(), "build %d: %s %s on %s by %s: %s",
		b.ID, b.Package, b.Version, b.Target, b.Slave, strings.TrimSpace(b.Outcome+" "+b.Cause))
	for _, line := range importLines(b.Record) {
		fmt.Fprintln(cmd.ErrOrStderr(), line)
	}
	out := cmd.OutOrStdout()
	if cli.IsTerminal(out) {
		err = copyPlain(out, text)
	} else {
		_, err = io.Copy(out, text)
	}
	if err != nil {
		return fmt.Errorf("read the log of build %d: %w", b.ID, err)
	}
	return nil
}

func openLog(ctx context.Context, depotDir string, b store.BuildRow) (io.Reader, io.Closer, error) {
	switch {
	case b.Outcome == "":
		return nil, nil, fmt.Errorf("build %d of %s %s is under way on %s: its log comes with its end", b.ID, b.Package, b.Version, b.Slave)
	case b.LogSHA256 == "":
		return nil, nil, fmt.Errorf("build %d of %s %s ended as %s, without a log", b.ID, b.Package, b.Version, b.Outcome)
	}
	files, err := depot.Look(depotDir)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; name the master's with --depot-dir", err)
	}
	f, err := files.Open(b.LogSHA256)
	if errors.Is(err, farm.ErrNotFound) {
		return nil, nil, fmt.Errorf("the log of build %d is not in the depot %s; name the master's with --depot-dir", b.ID, depotDir)
	}
	if err != nil {
		return nil, nil, err
	}
	return buildlog.Text(ctx, f), f, nil
}

// printLogJSON makes valid text of the log: bytes that are none become U+FFFD.
func printLogJSON(out io.Writer, b store.BuildRow, log io.Reader) error {
	body, err := io.ReadAll(log)
	if err != nil {
		return fmt.Errorf("read the log of build %d: %w", b.ID, err)
	}
	return cli.JSON(out, map[string]any{
		"schema": 1, "build": b.ID, "package": b.Package, "version": b.Version, "target": b.Target, "slave": b.Slave,
		"outcome": b.Outcome, "cause": b.Cause, "detail": b.Detail, "hint": b.Hint, "seconds": b.Seconds,
		"started_at": b.Started, "log_sha256": b.LogSHA256, "record": b.Record, "log": strings.ToValidUTF8(string(body), "\uFFFD"),
	})
}

// copyPlain keeps what a stranger's build wrote from steering the terminal, line by
// line; colours go with the rest. A log is short: the slave saw to that.
func copyPlain(out io.Writer, text io.Reader) error {
	in, w := bufio.NewReader(text), bufio.NewWriter(out)
	for {
		line, err := in.ReadString('\n')
		if _, bad := w.WriteString(farm.Clean(line)); bad != nil {
			return bad
		}
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return errors.Join(err, w.Flush())
		}
	}
}
