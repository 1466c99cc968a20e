package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/cli"
)

func TestLog(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	var packed bytes.Buffer
	f.must(buildlog.Compress(&packed, strings.NewReader("packed\n")))
	old := f.built("demo", "1.0", "\x1b[31mbuilding\x1b[0m \xff\n")
	newer := f.built("demo", "2.0", packed.String())
	silent := f.built("silent", "1.0", "")

	code, out, stderr := f.command("log", num(old.ID))
	if code != cli.ExitDone || out != "\x1b[31mbuilding\x1b[0m \xff\n" {
		t.Errorf("exit status %d, log %q", code, out)
	}
	if want := "build " + num(old.ID) + ": demo 1.0 on " + f.py.Target().String() + " by maker: built\n"; stderr != want {
		t.Errorf("header %q, want %q", stderr, want)
	}
	for _, args := range [][]string{{"log", "Demo"}, {"log", "demo", "2.0"}, {"log", "demo==2.0"}, {"log", num(newer.ID)}} {
		if got := f.done(args...); got != "packed\n" {
			t.Errorf("master %q: %q", args, got)
		}
	}
	got := answer[struct {
		Schema, Build                                        int64
		Package, Version, Target, Slave, Outcome, Cause, Log string
	}](f, "log", "demo", "1.0")
	if got.Schema != 1 || got.Build != old.ID || got.Slave != "maker" || got.Outcome != "built" || got.Log != "\x1b[31mbuilding\x1b[0m \uFFFD\n" {
		t.Errorf("JSON %+v", got)
	}

	f.queue("running", "1.0")
	running := f.wireSlave("pi-01").lease("r1")
	path, err := f.Depot.Path(old.LogSHA256)
	f.must(err)
	f.must(os.Remove(path))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"log", "999999"}, cli.ExitFailed, "there is no build 999999"},
		{[]string{"log", "nowhere"}, cli.ExitFailed, "no build of nowhere has left a log"},
		{[]string{"log", "demo", "9.9"}, cli.ExitFailed, "no build of demo 9.9 has left a log"},
		{[]string{"log", num(silent.ID)}, cli.ExitFailed, "ended as built, without a log"},
		{[]string{"log", num(running.Build)}, cli.ExitFailed, "is under way on pi-01"},
		{[]string{"log", num(old.ID)}, cli.ExitFailed, "is not in the depot"},
		{[]string{"log", num(newer.ID), "--depot-dir", f.dir + "/nowhere"}, cli.ExitFailed, "name the master's with --depot-dir"},
		{[]string{"log", "no name"}, cli.ExitUsage, "is not a package name"},
		{[]string{"log"}, cli.ExitUsage, "use: master log BUILD | PACKAGE [VERSION]"},
	} {
		code, out, stderr := f.command(c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || out != "" {
			t.Errorf("master %q: exit status %d, %q, %q; want %d and %q", c.args, code, out, stderr, c.code, c.want)
		}
	}
}

// TestLogDoesNotSteerTheTerminal: what a stranger's build wrote is text.
func TestLogDoesNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\ttext\n":           "plain\ttext\n",
		"grün 日本\n":               "grün 日本\n",
		"\x1b]0;title\x07\x1b[2J": "",
		"a\rb\x00c\u009b31m":      "abc31m",
		"\u202eevil":              "evil", // right to left
	} {
		var out bytes.Buffer
		if err := copyPlain(&out, strings.NewReader(in)); err != nil || out.String() != want {
			t.Errorf("%q came out as %q, %v; want %q", in, out.String(), err, want)
		}
	}
}
