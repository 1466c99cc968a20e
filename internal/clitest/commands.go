package clitest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"pinwheel/internal/porttest"
	"pinwheel/internal/pypitest"
)

// standard are the commands of every script:
//
//	exits CODE PROGRAM...           run it to its end, which has that exit status
//	refused CODE REGEXP PROGRAM...  the same; it says one line on stderr, which
//	                                matches, and nothing on stdout
//	start NAME REGEXP PROGRAM...    start it and wait for a line that matches; its
//	                                groups become the variables NAME_1, NAME_2 …;
//	                                with - for the REGEXP nothing is waited for
//	await NAME REGEXP               wait for a line of what was started, after the
//	                                one that was waited for last
//	signal NAME SIGNAL              send INT, TERM, HUP, KILL, STOP or CONT
//	gone NAME CODE                  wait for the end; a program that a signal ended
//	                                has the code -9, …
//	end NAME SIGNAL CODE            both
//	interrupt SIGNAL REGEXP CODE PROGRAM...  start, wait for the line, stop
//	shape                           print the last stdout, JSON, with its values
//	                                replaced by what they are
//	upstream FILE                   start an index with the stories of the file,
//	                                ">" before each line as for unquote; sets UPSTREAM,
//	                                and PINWHEEL_UPSTREAM for the programs
//	gate                            start a server that answers nobody; sets GATE
//	held N                          wait until it was asked N times more
//	release                         let those go who wait; nobody else may be there
//	taken VAR, free VAR             an address that somebody listens on; nobody
//	as nobody, as root              be an ordinary user from now on, if we are root
//	clean                           nothing is left, and nobody runs
//	dead                            nobody runs; a killed program may have left files
func standard() map[string]func(*Script, []string) {
	return map[string]func(*Script, []string){
		"exits": exits, "refused": refused, "start": begin, "await": await, "signal": signal, "gone": gone, "end": stop, "interrupt": interrupt,
		"shape": printShape, "upstream": upstream, "gate": openGate, "held": held, "release": release,
		"taken": taken, "free": free, "as": as, "clean": clean, "dead": dead,
	}
}

func (s *Script) want(args []string, n int, usage string) {
	if len(args) < n {
		s.Fail("usage: %s", usage)
	}
}

func (s *Script) regexp(text string) *regexp.Regexp {
	re, err := regexp.Compile(text)
	s.Must(err)
	return re
}

func (s *Script) number(text string) int {
	n, err := strconv.Atoi(text)
	s.Must(err)
	return n
}

// start starts a program with the script's variables as its environment.
func (s *Script) start(argv []string) *process {
	path := argv[0]
	if !strings.Contains(path, "/") {
		path = s.look(path)
	}
	p, err := start(spec{
		argv: append([]string{path}, argv[1:]...), env: s.environ(), dir: s.TestScript.MkAbs("."), nobody: s.nobody,
	})
	s.Must(err)
	s.TestScript.Logf("[started] %s", strings.Join(argv, " "))
	return p
}

// look finds a program on the script's own PATH.
func (s *Script) look(name string) string {
	for _, dir := range filepath.SplitList(s.Var("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	s.Fail("%s is not on the PATH of the script", name)
	return ""
}

// environ is what every program is given; more is given with env(1). Nothing of
// the caller's is in it but what a program under test needs to measure itself.
func (s *Script) environ() []string {
	names := []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR", "GORACE", "GOTRACEBACK",
		"PINWHEEL_STATE_DIR", "PINWHEEL_DATABASE_URL", "PINWHEEL_UPSTREAM"}
	env := []string{}
	for _, name := range names {
		if v := s.Var(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// finish waits for the end and shows testscript what was said.
func (s *Script) finish(p *process, code int) {
	got, err := p.wait(s.TB.Context())
	fmt.Fprint(s.TestScript.Stdout(), p.stdout.String())
	fmt.Fprint(s.TestScript.Stderr(), p.stderr.String())
	s.Must(err)
	if got != code {
		s.Fail("exit status %d, want %d", got, code)
	}
}

func exits(s *Script, args []string) {
	s.want(args, 2, "exits CODE PROGRAM...")
	s.finish(s.start(args[1:]), s.number(args[0]))
}

// longestLine is what a person takes in as one clear line.
const longestLine = 300

func refused(s *Script, args []string) {
	s.want(args, 3, "refused CODE REGEXP PROGRAM...")
	p := s.start(args[2:])
	s.finish(p, s.number(args[0]))
	if out := p.stdout.String(); out != "" {
		s.Fail("a refusal writes nothing to stdout, but here is %q", out)
	}
	var said []string
	for line := range strings.Lines(p.stderr.String()) {
		if !strings.HasPrefix(line, "{") { // the log is another matter
			said = append(said, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(said) != 1 || len(said[0]) > longestLine || !strings.HasPrefix(said[0], s.program(args[2:])+": ") {
		s.Fail("want one line that starts with the program's name, here are %d: %q", len(said), said)
	}
	if !s.regexp(args[1]).MatchString(said[0]) {
		s.Fail("%q does not match %q", said[0], args[1])
	}
}

// program is the name of the program under test, which may stand behind env(1).
func (s *Script) program(argv []string) string {
	for _, word := range argv {
		word = strings.TrimPrefix(word, s.Place.Bin+"/")
		if info, err := os.Stat(filepath.Join(s.Place.Bin, word)); err == nil && info.Mode().IsRegular() {
			return word
		}
	}
	return filepath.Base(argv[0])
}

func begin(s *Script, args []string) {
	s.want(args, 3, "start NAME REGEXP PROGRAM...")
	name := args[0]
	if s.processes[name] != nil {
		s.Fail("%s runs already", name)
	}
	s.processes[name] = s.start(args[2:])
	if args[1] != "-" {
		await(s, args[:2])
	}
}

func await(s *Script, args []string) {
	s.want(args, 2, "await NAME REGEXP")
	p := s.running(args[0])
	found, err := p.await(s.TB.Context(), s.regexp(args[1]))
	if err != nil {
		s.Fail("%v; it said:\n%s%s", err, p.stdout.String(), p.stderr.String())
	}
	for i, group := range found[1:] {
		s.SetVar(fmt.Sprintf("%s_%d", args[0], i+1), group)
	}
}

func (s *Script) running(name string) *process {
	p := s.processes[name]
	if p == nil {
		s.Fail("%s was not started", name)
	}
	return p
}

func stop(s *Script, args []string) {
	s.want(args, 3, "end NAME SIGNAL CODE")
	signal(s, args[:2])
	gone(s, []string{args[0], args[2]})
}

func signal(s *Script, args []string) {
	s.want(args, 2, "signal NAME SIGNAL")
	signals := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL,
		"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}
	s.Must(s.running(args[0]).cmd.Process.Signal(signals[args[1]]))
}

func gone(s *Script, args []string) {
	s.want(args, 2, "gone NAME CODE")
	p := s.running(args[0])
	delete(s.processes, args[0])
	s.finish(p, s.number(args[1]))
}

func interrupt(s *Script, args []string) {
	s.want(args, 4, "interrupt SIGNAL REGEXP CODE PROGRAM...")
	begin(s, append([]string{"interrupted", args[1]}, args[3:]...))
	stop(s, []string{"interrupted", args[0], args[2]})
}

func printShape(s *Script, _ []string) {
	text, err := shape([]byte(s.TestScript.ReadFile("stdout")))
	s.Must(err)
	fmt.Fprint(s.TestScript.Stdout(), text)
}

func upstream(s *Script, args []string) {
	s.want(args, 1, "upstream FILE")
	index, err := pypitest.Start("")
	s.Must(err)
	s.TB.Cleanup(func() {
		if err := index.Close(); err != nil {
			s.TB.Error(err)
		}
	})
	var text strings.Builder
	for line := range strings.Lines(os.Expand(s.TestScript.ReadFile(args[0]), s.Var)) {
		text.WriteString(strings.TrimPrefix(line, ">"))
	}
	s.Must(index.AddText(text.String()))
	s.index = index
	s.SetVar("UPSTREAM", index.URL())
	s.SetVar("PINWHEEL_UPSTREAM", index.URL())
}

func taken(s *Script, args []string) {
	s.want(args, 1, "taken VAR")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.Must(err)
	s.SetVar(args[0], l.Addr().String())
	s.TB.Cleanup(func() { l.Close() })
}

func free(s *Script, args []string) {
	s.want(args, 1, "free VAR")
	s.SetVar(args[0], porttest.Reserve(s.TB))
}

func as(s *Script, args []string) {
	s.want(args, 1, "as nobody; as root")
	s.nobody = args[0] == "nobody"
}

func clean(s *Script, _ []string) { s.Must(s.Place.awaitEmpty()) }

// dead is for what was killed: it must not live on in parts, but who could have
// removed its files? The next program does, and then the place is clean.
func dead(s *Script, _ []string) { s.Must(eventually(s.Place.processes)) }
