package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"pinwheel/internal/cli"
)

// longestWhy keeps the table a table; the whole reason stands above it.
const longestWhy = 80

// print shows what came of each package.
func (d *demo) print(out io.Writer, items []*item, asJSON bool) error {
	if asJSON {
		return cli.JSON(out, map[string]any{
			"schema": 1, "ok": !failed(items), "target": d.target(), "url": d.URL, "packages": rows(items),
		})
	}
	var lines [][]string
	for _, it := range items {
		line := []string{it.asked, "(" + cut(it.why, longestWhy) + ")", "-", "-", "-"}
		if it.phase == phaseDone {
			line = []string{it.asked, it.wheel, fmt.Sprintf("%.1f s", it.build), fmt.Sprintf("%.2f s", it.install), fmt.Sprintf("%.1f ×", ratio(it))}
		}
		lines = append(lines, line)
	}
	t := teller{out: out} // a wheel's name is whole, for who copies it
	t.line("")
	t.table(columns("PACKAGE", "WHEEL", "BUILD", "PIP", "RATIO"), lines)
	return nil
}

// ratio is how much sooner pip had it from the farm than it was built.
func ratio(it *item) float64 {
	if it.install == 0 {
		return 0
	}
	return it.build / it.install
}

type demoRow struct {
	Package        string   `json:"package"`
	Version        string   `json:"version"`
	OK             bool     `json:"ok"`
	Wheel          string   `json:"wheel"`
	SHA256         string   `json:"sha256"`
	BuildSeconds   float64  `json:"build_seconds"`
	InstallSeconds float64  `json:"install_seconds"`
	Ratio          float64  `json:"ratio"`
	Why            string   `json:"why"`
	Log            []string `json:"log"`
}

func rows(items []*item) []demoRow {
	out := []demoRow{}
	for _, it := range items {
		out = append(out, demoRow{
			Package: normal(it.name), Version: it.version, OK: it.phase == phaseDone, Wheel: it.wheel, SHA256: it.sha256,
			BuildSeconds: it.build, InstallSeconds: it.install, Ratio: ratio(it), Why: it.why, Log: orEmpty(it.tail),
		})
	}
	return out
}

// keep serves until Ctrl-C.
func (d *demo) keep(ctx context.Context, items []*item) {
	d.view.line("")
	d.view.line(fmt.Sprintf("serving %s/simple/ until Ctrl-C; try:", d.URL))
	for _, it := range items {
		if it.phase == phaseDone {
			d.view.line(fmt.Sprintf("  pip install --no-deps --index-url %s/simple/ %s==%s", d.URL, it.name, it.version))
		}
	}
	select {
	case <-ctx.Done():
	case err := <-d.broken:
		d.view.line(fmt.Sprintf("the farm ended: %v", err))
	}
}

// size is the terminal's, or a common one.
func size(out io.Writer) (wide, high int) {
	if f, ok := out.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 20 && h > 5 {
			return w, h
		}
	}
	return 80, 24
}
